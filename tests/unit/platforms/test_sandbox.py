import json
import os
import socket
import ssl
import time
from pathlib import Path

import pytest

from central_dispatch.platforms import proc, sandbox
from central_dispatch.platforms.facts import look
from central_dispatch.platforms.linux import build_host
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.ports import Vault
from central_dispatch.provisioning.problem import HostError
from servers.ordinary import run_as
from servers.users import Users

NO_VAULT: Vault = None  # type: ignore[assignment] # the host worker's part, not looked at here


def test_a_sandbox_starts_and_stops_again_and_again_and_is_found_by_its_directory(passable: Path) -> None:
    box = sandbox.create(str(passable / "box"))
    assert not box.running()
    try:
        for _ in range(2):
            box.start()
            assert box.running()
        assert sandbox.create(str(passable / "box")) == box
        assert sandbox.load(str(passable / "box")) == box
        for _ in range(2):
            sandbox.load(str(passable / "box")).stop()
            assert not box.running()
        # Left by a crash, and by now the number of another program.
        Path(box.layout.pid_file).write_text(f"{os.getpid()}\n")
        box.start()
        assert box.running()
    finally:
        box.stop()


def test_killed_servers_come_back(passable: Path) -> None:
    box = sandbox.create(str(passable / "box"))
    try:
        box.start()
        for argument in (str(box.directory / "apache"), f"--datadir={box.directory}/mariadb/data"):
            for one in proc.with_arguments(argument):
                os.kill(one.pid, 9)
        while proc.with_arguments(str(box.directory / "apache")) or box.mariadb.running():
            time.sleep(0.01)
        assert not box.running()
        box.start()
        assert box.running()
    finally:
        box.stop()


def test_an_interrupted_creation_is_taken_up_again(passable: Path) -> None:
    box = sandbox.create(str(passable / "box"))
    (passable / "box" / "sandbox.json").unlink()
    (passable / "box" / "tls" / "default.key").unlink()
    again = sandbox.create(str(passable / "box"))
    try:
        again.start()
        assert again.database.password != box.database.password
    finally:
        again.stop()


def test_a_long_path_still_has_sockets(passable: Path) -> None:
    box = sandbox.create(str(passable / ("long-" * 20)))
    try:
        box.start()
        assert len(f"{box.layout.runtime_directory}/cd-{'x' * 26}/php-fpm.sock") < 108
    finally:
        box.stop()
        for place in (Path(box.layout.runtime_directory), Path(box.layout.runtime_directory).parent / "mysql"):
            place.rmdir()
        Path(box.layout.runtime_directory).parent.rmdir()


def test_a_place_that_others_cannot_pass_is_refused_with_what_to_do(passable: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: an ordinary user's sandbox runs as that user alone")
    closed = passable / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(HostError, match=f"chmod o\\+x {closed}"):
        sandbox.create(str(closed / "box"))
    with pytest.raises(HostError, match="use letters, digits"):
        sandbox.create(str(passable / "with space"))
    with pytest.raises(HostError, match="There is no sandbox"):
        sandbox.load(str(passable))


def test_its_certificate_is_trusted_by_its_own_authority_for_names_below_the_domain(sandbox: Sandbox) -> None:
    context = ssl.create_default_context(cafile=str(sandbox.ca))
    port = sandbox.layout.https_port
    for name in (sandbox.domain, f"acme.{sandbox.domain}"):
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            assert secured.version() == "TLSv1.3"


def test_it_listens_on_loopback_alone_and_keeps_its_secrets_to_itself(sandbox: Sandbox) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ports = {sandbox.layout.http_port, sandbox.layout.https_port}
    addresses = {fields[1].split(":")[0] for fields in listening if int(fields[1].split(":")[1], 16) in ports}
    assert addresses == {"0100007F"}
    for secret in (sandbox.key, sandbox.directory / "sandbox.json"):
        assert secret.stat().st_mode & 0o077 == 0


def test_facts_are_what_the_host_is(sandbox: Sandbox) -> None:
    host = build_host(
        sandbox.layout, vault=NO_VAULT, state_directory=str(sandbox.state_directory), database=sandbox.database
    )
    facts = look(sandbox.layout, host)
    assert facts.web_server == "Apache 2.4"
    assert facts.web_server_runs
    assert facts.database.startswith("MariaDB ")
    assert facts.php_fpm.startswith("8.")
    assert facts.separate_users == (os.geteuid() == 0)
    assert 0 < facts.disk_free < facts.disk_total
    assert (facts.web_server_problem, facts.database_problem) == ("", "")
    assert json.loads(json.dumps(facts.to_json()))["layout"] == "sandbox"


def test_an_ordinary_user_has_a_whole_sandbox_too(passable: Path, users: Users) -> None:
    user = users.make()
    home = passable / "home"
    home.mkdir(mode=0o700)
    os.chown(home, user.uid, user.gid)
    code = (
        "import sys, json\n"
        "from central_dispatch.platforms import sandbox\n"
        "from central_dispatch.platforms.linux import build_host\n"
        "from central_dispatch.platforms.facts import look\n"
        "box = sandbox.create(sys.argv[1])\n"
        "try:\n"
        "    box.start()\n"
        "    state = str(box.state_directory)\n"
        "    host = build_host(box.layout, vault=None, state_directory=state, database=box.database)\n"
        "    print(json.dumps({**look(box.layout, host).to_json(), 'get': host.web.get('x.test', '/').status}))\n"
        "    host.databases.create('acme', 'mark'); host.databases.create_user('acme', 'secret')\n"
        "    host.databases.grant('acme', 'acme')\n"
        "    host.databases.dump('acme', 'acme', 'secret', as_user='whoever', target=sys.argv[1] + '/dump')\n"
        "finally:\n"
        "    box.stop()\n"
    )
    ended = run_as(user.uid, home, code, str(home / "box"))
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert (facts["web_server_runs"], facts["separate_users"], facts["get"]) == (True, False, 404)
    assert {one.stat().st_uid for one in (home / "box").rglob("*")} == {user.uid}
    assert [one for one in proc.processes() if one.uid == user.uid] == []
