"""Deployments on real servers: Apache, PHP-FPM, MariaDB, cron's tables and real Unix users."""

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.names import unix_user_for
from central_dispatch.provisioning.spec import InstanceSpec
from central_dispatch.provisioning.steps.database_user import PASSWORD
from servers.fingerprint import difference, fingerprint
from servers.host_rig import WORDPRESS, HostRig, add_source

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real Unix users")


@pytest.fixture(scope="module")
def rig(sandbox: Sandbox) -> HostRig:
    add_source(sandbox, "sample")
    add_source(sandbox, "static", "1", Path(__file__).parents[2] / "tests" / "servers" / "static_site")
    add_source(sandbox, "wordpress", "6.1.9", WORDPRESS)
    return HostRig(sandbox)


@pytest.fixture
def wordpress(rig: HostRig) -> Iterator[InstanceSpec]:
    spec = rig.spec("blog", "wordpress", "6.1.9")
    assert rig.deploy(spec) == "committed"
    yield spec
    if rig.host.accounts.find(unix_user_for(spec.name)):
        assert rig.delete(spec) == "committed"


def test_wordpress_answers_on_its_own_hostname_with_its_own_title(rig: HostRig, wordpress: InstanceSpec) -> None:
    status, front = rig.get(wordpress.hostnames[0], "/")
    assert status == 200
    assert re.search(rf"<title>{wordpress.name}\b[^<]*</title>", front)
    status, login = rig.get(wordpress.hostnames[0], "/wp-login.php")
    assert status == 200
    assert f"<title>Log In &lsaquo; {wordpress.name} &#8212; WordPress</title>" in login


def test_its_tables_lie_in_its_own_database_and_nowhere_else(rig: HostRig, wordpress: InstanceSpec) -> None:
    access = rig.sandbox.database
    connection = pymysql.connect(unix_socket=access.socket, user=access.user, password=access.password)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_NAME = 'wp_posts'")
        assert cursor.fetchall() == ((wordpress.database,),)


def test_its_processes_run_as_its_own_user_from_the_start(rig: HostRig, wordpress: InstanceSpec) -> None:
    rig.get(wordpress.hostnames[0], "/wp-login.php")
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            if f"php-fpm: pool {wordpress.name}" in command or f"/{wordpress.name}.conf" in command:
                found[command.rstrip("\0 ")] = pwd.getpwuid(process.stat().st_uid).pw_name
    assert len(found) >= 2, found
    assert set(found.values()) == {unix_user_for(wordpress.name)}


def test_its_database_user_cannot_read_a_neighbours_database(rig: HostRig, wordpress: InstanceSpec) -> None:
    # One underscore apart: an unescaped grant on `blog_` would open `blogs` as well.
    near = f"{wordpress.database[:-1]}_"
    neighbour = rig.spec("neighbour", database=near, database_user=near)
    assert rig.deploy(neighbour) == "committed"
    try:
        password = rig.vault.secret(neighbour.id, PASSWORD)
        socket = rig.sandbox.database.socket
        with pymysql.connect(unix_socket=socket, user=near, password=password) as connection:
            cursor = connection.cursor()
            cursor.execute("SHOW DATABASES")
            assert {name for (name,) in cursor.fetchall()} == {"information_schema", near}
            with pytest.raises(pymysql.err.OperationalError, match="denied"):
                cursor.execute(f"SELECT * FROM {wordpress.database}.wp_users")  # noqa: S608 a parsed name
    finally:
        assert rig.delete(neighbour) == "committed"


def test_a_neighbours_user_reads_neither_its_code_nor_its_configuration(rig: HostRig, wordpress: InstanceSpec) -> None:
    neighbour = rig.spec("nosy")
    assert rig.deploy(neighbour) == "committed"
    try:
        release = f"{rig.sandbox.layout.install_path}/{wordpress.web_root}/releases/6.1.9"
        for path, reader in (
            (f"{release}/index.php", unix_user_for(neighbour.name)),
            (f"{release}/wp-config.php", "www-data"),
        ):
            done = rig.host.processes.run(
                ["/bin/cat", path], user=reader, directory="/", run="0" * 32, timeout_s=10, output=print
            )
            assert "Permission denied" in done.tail
    finally:
        assert rig.delete(neighbour) == "committed"


def test_deleted_nothing_of_it_is_left_but_the_archive(rig: HostRig) -> None:
    before = fingerprint(rig.sandbox)
    spec = rig.spec("gone", "wordpress", "6.1.9")
    assert rig.deploy(spec) == "committed"
    assert difference(before, fingerprint(rig.sandbox)), "the fingerprint sees a deployment"
    assert rig.delete(spec) == "committed"
    assert difference(before, fingerprint(rig.sandbox)) == []
    archives = [
        path for path in (rig.sandbox.directory / "archives").iterdir() if path.name.startswith(f"{spec.name}-")
    ]
    assert len(archives) == 1
    assert sorted(path.name for path in archives[0].iterdir()) == ["archive.json", "database.sql", "files.tar.gz"]
    assert "CREATE TABLE `wp_posts`" in (archives[0] / "database.sql").read_text()


def test_three_different_instances_live_side_by_side(rig: HostRig, wordpress: InstanceSpec) -> None:
    sample, static = rig.spec("shop"), rig.spec("pages", "static", "1")
    try:
        assert rig.deploy(sample) == "committed"
        assert rig.deploy(static) == "committed"
        assert wordpress.name in rig.get(wordpress.hostnames[0], "/")[1]
        assert '"database":' in rig.get(sample.hostnames[0], "/healthz")[1]
        assert "A static page" in rig.get(static.hostnames[0], "/")[1]
        users = {pwd.getpwnam(unix_user_for(spec.name)).pw_uid for spec in (wordpress, sample, static)}
        assert len(users) == 3
    finally:
        assert rig.delete(sample) == "committed"
        assert rig.delete(static) == "committed"


def test_an_unknown_hostname_gets_no_instances_page(rig: HostRig, wordpress: InstanceSpec) -> None:
    status, body = rig.get(f"unknown.{rig.sandbox.domain}", "/")
    assert status == 404
    assert wordpress.name not in body


def test_a_file_that_a_visitor_uploaded_is_never_run_and_a_link_in_uploads_is_not_followed(
    rig: HostRig, wordpress: InstanceSpec
) -> None:
    uploads = Path(rig.sandbox.layout.install_path) / wordpress.web_root / "shared" / "wp-content" / "uploads"
    (uploads / "shell.php").write_text("<?php echo 6 * 7;")
    (uploads / "picture.txt").write_text("a picture")
    (uploads / "passwd.txt").symlink_to("/etc/passwd")
    for name in ("shell.php", "picture.txt", "passwd.txt"):
        os.chown(uploads / name, pwd.getpwnam(unix_user_for(wordpress.name)).pw_uid, -1, follow_symlinks=False)
    hostname = wordpress.hostnames[0]
    assert rig.get(hostname, "/wp-content/uploads/picture.txt") == (200, "a picture")
    assert rig.get(hostname, "/wp-content/uploads/shell.php")[0] == 403
    assert rig.get(hostname, "/wp-content/uploads/passwd.txt")[0] == 403
    assert rig.get(hostname, "/.central-dispatch")[0] == 403
