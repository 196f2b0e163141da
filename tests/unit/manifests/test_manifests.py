import re
from pathlib import Path

import pytest

from central_dispatch import manifests
from central_dispatch.provisioning.manifest import Manifest, read_manifest
from central_dispatch.provisioning.templates import render

VALUES = {
    "instance": {
        "name": "acme",
        "url": "https://acme.example.com:8443",
        "hostnames": ["acme.example.com"],
        "admin_email": "admin@example.com",
    },
    "database": {"name": "acme", "user": "acme", "password": "s3cret", "socket": "", "host": "db", "port": 3307},
    "paths": {"web_root": "/var/www/acme", "release": "/var/www/acme/releases/1"},
}


def manifest_of(kind: str) -> Manifest:
    path = manifests.directory(kind) / "portal.toml"
    manifest = read_manifest(path.read_text(), str(path))
    assert isinstance(manifest, Manifest), manifest
    return manifest


def test_every_shipped_directory_is_listed_and_every_listed_one_ships() -> None:
    here = Path(manifests.__file__).parent
    assert tuple(sorted(path.parent.name for path in here.glob("*/portal.toml"))) == manifests.KINDS


def test_a_kind_that_does_not_ship_is_refused_even_where_it_is_a_path() -> None:
    with pytest.raises(KeyError):
        manifests.directory("../fleet")


@pytest.mark.parametrize("kind", manifests.KINDS)
def test_a_shipped_manifest_is_valid_and_brings_what_it_names(kind: str) -> None:
    manifest = manifest_of(kind)
    for config in manifest.config:
        assert (manifests.directory(kind) / config.template).is_file()
    for command in filter(None, (manifest.install, manifest.migrate, manifest.cache)):
        for argument in command.argv:
            assert set(re.findall(r"\{(\w+)\}", argument)) <= {"php", "release", "source", "web_root"}
            if argument.startswith("{source}/"):
                assert (manifests.directory(kind) / argument.removeprefix("{source}/")).is_file()


@pytest.mark.parametrize("kind", manifests.KINDS)
@pytest.mark.parametrize("socket", ["", "/run/mysqld/mysqld.sock"])
def test_a_shipped_template_can_be_filled_in_over_tcp_and_socket(kind: str, socket: str) -> None:
    manifest = manifest_of(kind)
    values = {**VALUES, "database": {**VALUES["database"], "socket": socket}}
    values["secrets"] = dict.fromkeys(manifest.secrets, "secret-value")
    for config in manifest.config:
        text = render((manifests.directory(kind) / config.template).read_text(), config.kind, values, config.template)
        assert isinstance(text, str), text
        assert "acme" in text
        assert "{{" not in text


def test_wordpress_reaches_its_database_by_socket_or_by_port() -> None:
    template = (manifests.directory("wordpress") / "wp-config.php.jinja").read_text()
    secrets = dict.fromkeys(manifest_of("wordpress").secrets, "x")
    over_tcp = render(template, "php", {**VALUES, "secrets": secrets}, "wp-config.php")
    assert "define('DB_HOST', 'db:3307');" in str(over_tcp)
    local = {**VALUES, "secrets": secrets, "database": {**VALUES["database"], "socket": "/run/s.sock"}}
    assert "define('DB_HOST', 'localhost:/run/s.sock');" in str(render(template, "php", local, "wp-config.php"))
