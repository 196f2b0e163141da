"""The manifests that ship, run by hand against a real MariaDB and PHP: before any saga is involved."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from central_dispatch.manifests import directory
from central_dispatch.provisioning.manifest import Manifest, read_manifest
from central_dispatch.provisioning.templates import render

WORDPRESS = Path("/usr/share/wordpress")
# The tables and pages are the same over HTTPS, which the sandbox's Apache adds; PHP's own server has none.
ROUTER = """<?php
$_SERVER['HTTPS'] = 'on';
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path !== '/' && is_file($_SERVER['DOCUMENT_ROOT'] . $path)) { return false; }
chdir($_SERVER['DOCUMENT_ROOT']);
require $_SERVER['DOCUMENT_ROOT'] . '/index.php';
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(ready: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "not ready in time"
        time.sleep(0.05)


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(timeout=30)


def opens(connect: Callable[[], Any]) -> bool:
    try:
        connect().close()
    except (OSError, pymysql.err.OperationalError):
        return False
    return True


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own; yields its socket. Root there has no password."""
    root = tmp_path_factory.mktemp("db")
    user = "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    # pytest's directories are 0700; the server's user has to reach its own.
    socket_directory = Path(subprocess.check_output(["/usr/bin/mktemp", "-d"], text=True).strip())
    data = socket_directory / "data"
    data.mkdir()
    if os.geteuid() == 0:
        shutil.chown(socket_directory, user)
        shutil.chown(data, user)
    path = str(socket_directory / "s.sock")
    install = [
        "/usr/bin/mariadb-install-db",
        "--no-defaults",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
    ]
    subprocess.run([*install, f"--user={user}", f"--datadir={data}"], check=True, capture_output=True)
    log = (root / "log").open("wb")
    process = subprocess.Popen(
        [
            "/usr/sbin/mariadbd",
            "--no-defaults",
            f"--user={user}",
            f"--datadir={data}",
            f"--socket={path}",
            "--skip-networking",
        ],
        stdout=log,
        stderr=log,
    )
    try:
        wait_for(lambda: opens(lambda: pymysql.connect(unix_socket=path, user="root")))
        yield path
    finally:
        stop(process)
        log.close()
        shutil.rmtree(socket_directory)


def manifest_of(kind: str) -> Manifest:
    manifest = read_manifest((directory(kind) / "portal.toml").read_text(), kind)
    assert isinstance(manifest, Manifest)
    return manifest


def facts(manifest: Manifest, database: str, db_socket: str, port: int) -> dict[str, Any]:
    return {
        "instance": {
            "name": "acme",
            "url": f"https://127.0.0.1:{port}",
            "hostnames": ["127.0.0.1"],
            "admin_email": "admin@example.com",
        },
        "database": {
            "name": database,
            "user": database,
            "password": "o'clock\\",
            "socket": db_socket,
            "host": "localhost",
            "port": 3306,
        },
        "secrets": {name: f"{name}'\\x" for name in manifest.secrets},
    }


@pytest.fixture
def installed(mariadb: str, tmp_path: Path) -> Iterator[Callable[[str, Path], tuple[str, int, str]]]:
    """Install a portal as its manifest says and serve it; returns (installer's output, port, release)."""
    servers: list[subprocess.Popen[bytes]] = []

    def act(kind: str, tree: Path) -> tuple[str, int, str]:
        manifest, port, release = manifest_of(kind), free_port(), tmp_path / "release"
        shutil.copytree(tree, release, ignore=shutil.ignore_patterns(*[Path(name).name for name in manifest.excluded]))
        known = facts(manifest, kind, mariadb, port)
        with pymysql.connect(unix_socket=mariadb, user="root") as root, root.cursor() as cursor:
            cursor.execute(f"create or replace database {kind}")
            cursor.execute(f"create or replace user {kind}@localhost identified by %s", [known["database"]["password"]])
            cursor.execute(f"grant all on {kind}.* to {kind}@localhost")
        for config in manifest.config:
            text = render((directory(kind) / config.template).read_text(), config.kind, known, config.template)
            assert isinstance(text, str), text
            (release / config.target).write_text(text)
        assert manifest.install
        words = {"{php}": "/usr/bin/php", "{release}": str(release), "{source}": str(directory(kind))}
        argv = [expand(part, words) for part in manifest.install.argv]
        done = subprocess.run(
            argv, input=json.dumps(known), cwd=release, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        router = tmp_path / "router.php"
        router.write_text(ROUTER)
        root_directory = str(release / manifest.document_root)
        servers.append(
            subprocess.Popen(
                ["/usr/bin/php", "-S", f"127.0.0.1:{port}", "-t", root_directory, str(router)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        wait_for(lambda: opens(lambda: socket.create_connection(("127.0.0.1", port))))
        return done.stdout, port, str(release)

    yield act
    for server in servers:
        stop(server)


def expand(argument: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        argument = argument.replace(word, value)
    return argument


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return str(answer.read().decode())


Install = Callable[[str, Path], tuple[str, int, str]]


def test_the_sample_portal_answers_through_php_and_its_database(installed: Install, mariadb: str) -> None:
    manifest = manifest_of("sample")
    output, port, release = installed("sample", directory("sample") / "releases" / "1.0.0")
    assert output == "Tables dashboards and heartbeats are ready for acme.\n"
    health = get(port, manifest.health.path)
    assert manifest.health.contains in health
    assert json.loads(health)["dashboards"] == 4
    page = get(port, "/")
    assert "Sales by region" in page
    assert "none yet" in page
    subprocess.run(["/usr/bin/php", f"{release}/bin/heartbeat.php"], check=True)
    assert "none yet" not in get(port, "/")
    with pymysql.connect(unix_socket=mariadb, user="root") as root, root.cursor() as cursor:
        cursor.execute("drop table sample.dashboards")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        get(port, manifest.health.path)


@pytest.fixture(scope="module")
def wordpress_tree() -> Path:
    if not (WORDPRESS / "wp-load.php").is_file():
        pytest.fail("WordPress is missing: apt install wordpress wordpress-theme-twentytwentythree")
    return WORDPRESS


def test_wordpress_is_installed_without_a_person(installed: Install, mariadb: str, wordpress_tree: Path) -> None:
    manifest = manifest_of("wordpress")
    output, port, release = installed("wordpress", wordpress_tree)
    assert "is installed; the administrator is “admin”" in output
    front, login = get(port, "/"), get(port, manifest.health.path)
    assert "<title>acme</title>" in front
    assert "Hello world!" in front
    assert manifest.health.contains in login
    assert "acme &#8212; WordPress</title>" in login
    with pymysql.connect(unix_socket=mariadb, user="root", database="wordpress") as root, root.cursor() as cursor:
        cursor.execute("select option_name, option_value from wp_options where option_name in ('siteurl', 'home')")
        assert dict(cursor.fetchall()) == dict.fromkeys(("siteurl", "home"), f"https://127.0.0.1:{port}")
        cursor.execute("select user_login, user_email, user_pass <> '' from wp_users")
        assert cursor.fetchall() == (("admin", "admin@example.com", 1),)
    # The login form passes what was typed slashed, as WordPress's own installer does: quotes in a secret survive.
    check = (
        "define('WP_INSTALLING', true); require 'wp-load.php';"
        "echo is_wp_error(wp_authenticate('admin', wp_slash(file_get_contents('php://stdin')))) ? 'no' : 'yes';"
    )
    tried = subprocess.run(
        ["/usr/bin/php", "-r", check],
        cwd=release,
        input="admin_password'\\x",
        capture_output=True,
        text=True,
        check=True,
    )
    assert tried.stdout == "yes", tried
    subprocess.run(["/usr/bin/php", f"{release}/wp-cron.php"], check=True)


def test_wordpress_without_a_theme_is_refused(installed: Install, wordpress_tree: Path, tmp_path: Path) -> None:
    """Its front page would be an empty 200."""
    bare = tmp_path / "bare"
    shutil.copytree(wordpress_tree, bare, ignore=shutil.ignore_patterns("twenty*", ".htaccess"))
    with pytest.raises(AssertionError, match="holds no theme"):
        installed("wordpress", bare)
