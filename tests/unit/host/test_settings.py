"""`host.toml`: what is refused, what is written, what it comes to."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from central_dispatch.host import resolved
from central_dispatch.host.resolved import checks, resolve
from central_dispatch.host.settings import KEYS, Home, HostSettings, load, set_values
from central_dispatch.platforms.files import PosixFiles
from central_dispatch.provisioning.problem import Problem
from servers.https_server import certificate

NOW = datetime.now(UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_without_a_file_everything_is_as_the_layout_has_it(home: Home) -> None:
    settings = load(home)
    assert settings == HostSettings()
    found = resolve(HostSettings(layout="debian"), home)
    assert not isinstance(found, Problem)
    assert found.layout.vhost_directory == "/etc/apache2/sites-available"
    assert found.state_directory == home.settings_path.parent / "host"


def test_what_is_set_is_written_and_read_back(home: Home) -> None:
    texts = {
        "layout": "debian",
        "install_path": "/srv/www",
        "https_port": "8443",
        "web_server_reload": "/usr/bin/systemctl reload 'apache2 @one.service'",
        "default_certificate": "/etc/ssl/it is fine.pem",
    }
    changed = set_values(home, texts)
    assert not isinstance(changed, Problem), changed
    assert changed.web_server_reload == ("/usr/bin/systemctl", "reload", "apache2 @one.service")
    assert load(home) == changed
    found = resolve(changed, home)
    assert not isinstance(found, Problem)
    assert (found.layout.install_path, found.layout.https_port) == ("/srv/www", 8443)
    assert found.layout.reload_argv == changed.web_server_reload
    assert home.settings_path.stat().st_mode & 0o777 == 0o644


def test_an_empty_text_takes_a_key_back_to_its_default(home: Home) -> None:
    set_values(home, {"install_path": "/srv/www", "http_port": "81"})
    assert set_values(home, {"install_path": "", "http_port": ""}) == HostSettings()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("install_path", "srv"),
        ("install_path", "/srv/../etc"),
        ("install_path", "/"),
        ("web_server_user", "www data"),
        ("web_server_reload", "systemctl reload apache2"),
        ("web_server_reload", "/bin/sh -c 'unclosed"),
        ("https_port", "70000"),
        ("https_port", "https"),
        ("https_port", "-1"),
        ("layout", "gentoo"),
        ("database_host", "db;drop"),
        ("no_such_key", "x"),
    ],
)
def test_a_bad_value_is_refused_with_its_key_and_the_file_stays(home: Home, key: str, text: str) -> None:
    set_values(home, {"install_path": "/srv/www"})
    before = home.settings_path.read_bytes()
    refused = set_values(home, {key: text})
    assert isinstance(refused, Problem)
    assert refused.field == key
    assert home.settings_path.read_bytes() == before


def test_each_key_is_explained() -> None:
    assert set(KEYS) == set(HostSettings.model_fields)


@pytest.mark.parametrize("content", ["install_path = ", "no_such = 1\n", 'install_path = "srv"\n', "\xff\n"])
def test_a_file_that_is_wrong_is_refused_with_its_path(home: Home, content: str) -> None:
    home.settings_path.write_text(content, encoding="latin-1")
    refused = load(home)
    assert isinstance(refused, Problem)
    assert str(home.settings_path) in str(refused)


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_file_that_others_may_write_is_refused(home: Home, mode: int) -> None:
    home.settings_path.write_text("")
    home.settings_path.chmod(mode)
    refused = load(home)
    assert isinstance(refused, Problem)
    assert "chmod" in refused.mend


def test_a_file_in_a_directory_that_others_may_write_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o777)
    (directory / "host.toml").write_text("")
    assert isinstance(load(Home(directory)), Problem)


def test_a_link_in_place_of_the_file_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("")
    home.settings_path.symlink_to(tmp_path / "other.toml")
    assert isinstance(load(home), Problem)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_another_users_file_is_refused(home: Home) -> None:
    home.settings_path.write_text("")
    os.chown(home.settings_path, 1, 1)
    refused = load(home)
    assert isinstance(refused, Problem)
    assert "chown" in refused.mend


def test_a_password_file_must_be_roots_alone(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n")
    path.chmod(0o640)
    given = HostSettings(layout="debian", database_password_file=str(path), database_user="provisioner")
    refused = resolve(given, home)
    assert isinstance(refused, Problem)
    assert refused.field == "database_password_file"
    path.chmod(0o600)
    found = resolve(given, home)
    assert not isinstance(found, Problem)
    assert (found.database.user, found.database.password) == ("provisioner", "secret")
    assert "secret" not in repr(found)
    path.unlink()
    assert isinstance(resolve(given, home), Problem)


def test_a_database_host_wins_over_the_platforms_socket(home: Home) -> None:
    found = resolve(HostSettings(layout="debian", database_host="db.example.com", database_port=3307), home)
    assert not isinstance(found, Problem)
    assert (found.database.socket, found.database.host, found.database.port) == ("", "db.example.com", 3307)


def test_what_is_missing_on_the_host_is_named_with_its_key(home: Home, tmp_path: Path) -> None:
    given = HostSettings(
        layout="debian",
        install_path=str(tmp_path / "no"),
        php=str(tmp_path / "php"),
        vhost_template=str(tmp_path / "t"),
    )
    found = resolve(given, home)
    assert not isinstance(found, Problem)
    assert {"install_path", "php", "vhost_template"} <= {problem.field for problem in checks(found, NOW)}


def test_a_default_certificate_whose_key_does_not_fit_is_named(home: Home, tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    pair, _ = certificate(mine)
    foreign, _ = certificate(other)

    def fields(key: Path) -> set[str]:
        given = HostSettings(layout="debian", default_certificate=str(pair), default_key=str(key))
        found = resolve(given, home)
        assert not isinstance(found, Problem)
        return {problem.field for problem in checks(found, NOW) if problem.field.startswith("default")}

    assert fields(foreign) == {"default_key"}
    assert "default_key" not in fields(pair)


def test_the_portal_is_shown_everything_but_secrets(home: Home, tmp_path: Path) -> None:
    found = resolve(HostSettings(layout="debian", sources_directory=str(tmp_path / "sources")), home)
    assert not isinstance(found, Problem)
    source = tmp_path / "sources" / "sample"
    (source / "releases" / "1.0").mkdir(parents=True)
    (source / "portal.toml").write_text('name = "Sample"\n[health]\ncontains = "ok"\n')
    (tmp_path / "sources" / "broken" / "releases").mkdir(parents=True)
    view = resolved.view(found, PosixFiles())
    assert [(one.name, one.releases, bool(one.problem)) for one in view.sources] == [
        ("broken", (), True),
        ("sample", ("1.0",), False),
    ]
    assert view.web_server_test == "/usr/sbin/apache2ctl -t"
    assert view.database.endswith("as root")
