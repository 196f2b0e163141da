"""The contract of `ports.WebServer`, on a real Apache: in Debian's tree of two directories, and in a `conf.d` tree."""

import hashlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from central_dispatch.platforms import proc
from central_dispatch.platforms import sandbox as sandboxes
from central_dispatch.platforms.apache import Apache
from central_dispatch.platforms.layouts import RED_HAT, Layout
from central_dispatch.platforms.sandbox import ApacheServer, Sandbox
from central_dispatch.platforms.sandbox.server import free_ports
from central_dispatch.provisioning.problem import HostError, Unavailable
from servers.places import passable_directory


@dataclass(frozen=True)
class Web:
    """A running server, its adapter, and where a file is live."""

    apache: Apache
    server: ApacheServer
    live: Path
    certificate: Path
    key: Path
    www: Path
    state: Path

    def site(self, name: str, extra: str = "") -> str:
        port = self.server.layout.https_port
        return (
            f"<VirtualHost *:{port}>\nServerName {name}.test\nServerAlias WWW.{name}.test *.{name}.test\n"
            f'DocumentRoot "{self.www}"\n<Directory "{self.www}">\nRequire all granted\n</Directory>\n'
            f'SSLEngine on\nSSLCertificateFile "{self.certificate}"\nSSLCertificateKeyFile "{self.key}"\n'
            f"{extra}\n</VirtualHost>\n"
        )


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """A tree of its own, since these tests break it."""
    with passable_directory() as place:
        made = sandboxes.create(str(place / "box"))
        (made.directory / "www" / "page").write_text("the page")
        yield made


def _conf_d(box: Sandbox, program: str) -> ApacheServer:
    """Return a tree as Red Hat has it: one directory, no links, `httpd` and its own reload command."""
    ports = free_ports(2)
    root, run = box.directory / "httpd", box.directory / "run-httpd"
    for place in (root, root / "conf.d", run):
        place.mkdir(exist_ok=True)
    argv = (program, "-d", str(root), "-f", str(root / "apache2.conf"))
    layout: Layout = replace(
        RED_HAT,
        vhost_directory=str(root / "conf.d"),
        vhost_enabled=str(root / "conf.d"),
        log_directory=str(box.directory / "log"),
        web_user=box.layout.web_user,
        web_group=box.layout.web_group,
        web_argv=argv,
        reload_argv=(*argv, "-k", "graceful"),
        pid_file=str(run / "httpd.pid"),
        http_port=ports[0],
        https_port=ports[1],
    )
    server = ApacheServer(root=root, run=run, layout=layout)
    (root / "apache2.conf").write_text(server.config(box.certificate, box.key))
    # What the adapter sees is Red Hat's: no directory of links.
    return replace(server, layout=replace(layout, vhost_enabled=""))


@pytest.fixture(scope="module", params=["sites-enabled", "conf.d"])
def running(request: pytest.FixtureRequest, box: Sandbox) -> Iterator[Web]:
    sandboxes._make_runtime(box.layout)
    conf_d = request.param == "conf.d"
    server = _conf_d(box, box.layout.web_argv[0]) if conf_d else box.apache
    live = Path(server.layout.vhost_directory if conf_d else server.layout.vhost_enabled)
    state = box.directory / f"state-{request.param}"
    state.mkdir()
    try:
        server.start()
        yield Web(
            Apache(server.layout, str(state)),
            server,
            live,
            box.certificate,
            box.key,
            Path(box.layout.install_path),
            state,
        )
    finally:
        server.stop()


@pytest.fixture
def web(running: Web) -> Iterator[Web]:
    yield running
    for one in running.live.iterdir():
        one.unlink()
    (running.state / "reload-owed").unlink(missing_ok=True)
    running.server.start()
    running.apache.reload()


def _add(web: Web, name: str, extra: str = "") -> Path:
    path = web.live / f"{name}.conf"
    path.write_text(web.site(name, extra))
    return path


def _generation(web: Web) -> set[int]:
    main = int(Path(web.server.layout.pid_file).read_text())
    return {one.pid for one in proc.processes() if one.parent == main}


def _reload_and_wait(web: Web) -> None:
    """Reload, and wait until the server has taken the tree over: what is broken before that could end it."""
    before = _generation(web)
    web.apache.reload()
    while before & _generation(web):
        pass


def test_the_version_is_the_programs_own(web: Web) -> None:
    assert web.apache.version() == (2, 4)


def test_a_tree_that_parses_has_no_problem_and_a_good_candidate_neither(web: Web, tmp_path: Path) -> None:
    candidate = tmp_path / "with space.conf"
    candidate.write_text(web.site("good"))
    before = sorted(web.server.root.rglob("*"))
    assert web.apache.test() is None
    assert web.apache.test(str(candidate)) is None
    assert sorted(web.server.root.rglob("*")) == before
    assert "good.test" not in web.apache.hostnames()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("NoSuchDirective on", "NoSuchDirective"),
        ("<IfModule x", "IfModule"),
        ('CustomLog "/nonexistent/directory/log" combined', "/nonexistent/directory"),
        ('SSLCertificateFile "/nonexistent/certificate"', "/nonexistent/certificate"),
        ("</VirtualHost>\nListen 127.0.0.1:1\n<VirtualHost *:1>", "Listen"),
        ("</VirtualHost>\nlisten\\\n 127.0.0.1:1\n<VirtualHost *:1>", "Listen"),
    ],
)
def test_a_bad_candidate_is_refused_with_file_and_line(web: Web, tmp_path: Path, extra: str, said: str) -> None:
    candidate = tmp_path / "bad.conf"
    candidate.write_text(web.site("bad", extra))
    problem = web.apache.test(str(candidate))
    assert problem
    assert said in str(problem)
    assert str(candidate) in str(problem)
    assert web.apache.test() is None


def test_a_key_of_another_certificate_is_refused_since_the_server_would_end_by_it(web: Web, tmp_path: Path) -> None:
    other, key = tmp_path / "other.pem", tmp_path / "other.key"
    subject = ["-nodes", "-days", "9", "-subj", "/CN=a"]
    make = [
        "/usr/bin/openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        *subject,
        "-keyout",
        str(key),
        "-out",
        str(other),
    ]
    subprocess.run(make, check=True, capture_output=True)
    candidate = tmp_path / "mismatch.conf"
    candidate.write_text(web.site("bad").replace(str(web.key), str(key)))
    problem = web.apache.test(str(candidate))
    assert problem
    assert "does not belong to the certificate" in problem.why
    candidate.write_text(web.site("bad").replace(str(web.key), str(key)).replace(str(web.certificate), str(other)))
    assert web.apache.test(str(candidate)) is None


@pytest.mark.parametrize("path", ['/tmp/a".conf', "/tmp/*.conf", "/tmp/a\nb", "relative.conf"])  # noqa: S108 never opened
def test_a_candidates_path_cannot_speak_to_apache(web: Web, path: str) -> None:
    problem = web.apache.test(path)
    assert problem
    assert "Refused" in problem.what


def test_a_broken_tree_is_said_so_and_the_running_server_serves_on(web: Web) -> None:
    _add(web, "good")
    _reload_and_wait(web)
    broken = _add(web, "broken", "NoSuchDirective on")
    problem = web.apache.test()
    assert problem
    assert f"{broken}:" in problem.why
    with pytest.raises(HostError, match="was not reloaded"):
        web.apache.reload()
    with pytest.raises(HostError):
        web.apache.hostnames()
    assert web.apache.running()
    assert web.apache.wait_for("good.test", "/page", lambda answer: answer.body == b"the page", 10)


def test_hostnames_are_those_of_the_live_tree_in_lower_case_with_their_files(web: Web) -> None:
    a, b = _add(web, "a"), _add(web, "b")
    names = web.apache.hostnames()
    assert {name: file for name, file in names.items() if file in {str(a), str(b)}} == {
        "a.test": str(a),
        "www.a.test": str(a),
        "*.a.test": str(a),
        "b.test": str(b),
        "www.b.test": str(b),
        "*.b.test": str(b),
    }


def test_a_reload_lets_no_request_fail_and_ends_with_the_new_site(web: Web) -> None:
    _add(web, "old")
    # A child from before may answer once more, and does not know the site.
    _reload_and_wait(web)
    assert web.apache.wait_for("old.test", "/page", lambda answer: answer.status == 200, 10)
    failures: list[str] = []
    ending = threading.Event()

    def visit() -> None:
        while not ending.is_set():
            try:
                answer = web.apache.get("old.test", "/page")
            except HostError as error:
                failures.append(str(error))
            else:
                if answer.body != b"the page":
                    failures.append(f"{answer.status}")

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    for name in ("n1", "n2", "n3"):
        _add(web, name)
        web.apache.reload()
        answer = web.apache.wait_for(f"{name}.test", "/page", lambda answer: answer.status == 200, 10)
        assert answer
        assert answer.body == b"the page"
    ending.set()
    for visitor in visitors:
        visitor.join()
    assert failures == []


def test_an_answer_has_status_body_location_and_the_certificates_fingerprint(web: Web) -> None:
    _add(web, "a", "Redirect 302 /moved https://elsewhere.test/")
    web.apache.reload()
    answer = web.apache.wait_for("a.test", "/moved", lambda answer: answer.status == 302, 10)
    assert answer
    assert answer.location == "https://elsewhere.test/"
    leaf = x509.load_pem_x509_certificate(web.certificate.read_bytes()).public_bytes(Encoding.DER)
    assert answer.certificate == hashlib.sha256(leaf).hexdigest()


def test_an_unknown_hostname_gets_no_neighbours_page(web: Web) -> None:
    _add(web, "a")
    web.apache.reload()
    assert web.apache.wait_for("a.test", "/page", lambda answer: answer.status == 200, 10)
    assert web.apache.get("unknown.test", "/page").status == 404


def test_a_body_is_bounded(web: Web) -> None:
    (web.www / "large").write_bytes(b"x" * (3 << 20))
    _add(web, "a")
    web.apache.reload()
    answer = web.apache.wait_for("a.test", "/large", lambda answer: answer.status == 200, 10)
    assert answer
    assert len(answer.body) == 1 << 20


def test_a_server_that_is_silent_or_never_ends_is_unavailable(web: Web) -> None:
    """A listener that accepts and says nothing, in the server's place."""
    port = free_ports(1)[0]
    silent = Apache(replace(web.server.layout, https_port=port), str(web.state))
    with pytest.raises(Unavailable, match="did not answer"):
        silent.get("a.test", "/")
    listener = socket.create_server(("127.0.0.1", port))
    try:
        with pytest.raises(Unavailable):
            silent.get("a.test", "/", timeout_s=0.3)
        assert silent.wait_for("a.test", "/", lambda _: True, 0.3) is None
    finally:
        listener.close()


def test_a_server_that_has_just_been_started_survives_a_reload(web: Web) -> None:
    """Its ports are open and its number is noted a moment before it can take the signal."""
    for _ in range(3):
        web.server.stop()
        subprocess.run([*web.server.layout.web_argv, "-k", "start"], check=True)
        while not web.apache.running():
            pass
        web.apache.reload()
        assert web.apache.wait_for("unknown.test", "/", lambda answer: answer.status == 404, 10)
        assert web.apache.running()


def test_a_stopped_server_is_seen_and_not_started_by_a_reload(web: Web) -> None:
    web.server.stop()
    assert not web.apache.running()
    with pytest.raises(Unavailable, match="does not run"):
        web.apache.reload()
    Path(web.server.layout.pid_file).write_text("1")
    # Another program has the number now.
    assert not web.apache.running()


def test_a_reload_that_is_owed_survives_and_is_made_up_once_the_tree_parses(web: Web) -> None:
    _reload_and_wait(web)
    broken = _add(web, "a", "NoSuchDirective on")
    web.apache.owe_reload()
    again = Apache(web.server.layout, str(web.state))
    assert again.owed()
    assert again.make_up()
    assert again.owed()
    broken.write_text(web.site("a"))
    assert again.make_up() is None
    assert not web.apache.owed()
    assert web.apache.wait_for("a.test", "/page", lambda answer: answer.status == 200, 10)
    assert again.make_up() is None


def test_a_server_that_is_down_owes_no_reload(web: Web) -> None:
    web.apache.owe_reload()
    web.server.stop()
    assert web.apache.make_up() is None
    assert not web.apache.owed()


def test_the_tree_has_one_writer_across_threads_and_processes(web: Web) -> None:
    other = Apache(web.server.layout, str(web.state))
    order: list[str] = []

    def second() -> None:
        with other.writer():
            order.append("second")

    with web.apache.writer(), web.apache.writer():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.2)
        assert thread.is_alive()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
