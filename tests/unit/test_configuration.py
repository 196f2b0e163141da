import json
import os
import re
from pathlib import Path

import pytest

from central_dispatch.configuration import (
    BadConfiguration,
    Broker,
    Database,
    configuration_path,
    read_configuration,
)

SERVER = '[database]\nengine = "postgresql"\npassword_file = "database-password"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def write(home: Path, text: str, mode: int = 0o640) -> None:
    path = configuration_path(home)
    path.write_text(text)
    path.chmod(mode)


def fault(home: Path) -> str:
    with pytest.raises(BadConfiguration) as caught:
        read_configuration(home)
    return str(caught.value)


def test_without_a_file_it_is_sqlite_and_the_embedded_broker(home: Path) -> None:
    found = read_configuration(home)
    assert (found.database.engine, found.broker.kind) == ("sqlite", "embedded")


def test_a_server_has_its_engines_port_and_its_password_in_a_file_beside_it(home: Path) -> None:
    write(home, SERVER)
    (home / "database-password").write_text("s3cret\n")
    (home / "database-password").chmod(0o600)
    database = read_configuration(home).database
    assert (database.host, database.at_port, database.name, database.user) == (
        "127.0.0.1",
        5432,
        "central_dispatch",
        "central_dispatch",
    )
    assert database.password == "s3cret"
    assert "s3cret" not in repr(database)


def test_a_broker_has_its_protocols_port(home: Path) -> None:
    write(home, '[broker]\nkind = "rabbitmq"\nhost = "mq.example.org"\npassword_file = "/etc/mq"\ntls = "ca.pem"\n')
    broker = read_configuration(home).broker
    assert (broker.place, broker.virtual_host, broker.tls) == ("mq.example.org:5671", "/", home / "ca.pem")
    assert not broker.cluster
    assert broker.addresses == (("mq.example.org", 5671),)


def test_a_cluster_of_brokers_has_the_addresses_of_its_nodes(home: Path) -> None:
    section = '[broker]\nkind = "rabbitmq"\nhost = "mq1"\npassword_file = "/etc/mq"\ncluster = true\n'
    write(home, section + 'further_hosts = ["mq2", "mq3:5673"]\n')
    assert read_configuration(home).broker.addresses == (("mq1", 5672), ("mq2", 5672), ("mq3", 5673))


@pytest.mark.parametrize(
    ("text", "field", "mend"),
    [
        ("[database\n", "dispatcher.toml is not TOML", "Correct that line"),
        ('[database]\nengine = "oracle"\n', "database.engine", "Use 'sqlite', 'postgresql' or 'mariadb'"),
        ('[database]\nengine = "mariadb"\nusername = "x"\n', "database.username", "Correct its name"),
        ('[database]\nengine = "mariadb"\nport = 99999\n', "database.port", "less than or equal to 65535"),
        ('[database]\nhost = "db1"\n', "database.host", "choose another engine"),
        ('[database]\nengine = "mariadb"\nsocket = "/s"\nhost = "h"\n', "database.socket", "either the socket"),
        ('[database]\nengine = "mariadb"\nname = ""\n', "database.name", "at least 1 character"),
        ('database = "mariadb"\n', "database", "Write [database] on a line of its own"),
        ("[databases]\n", "databases", "Correct its name"),
        ('[broker]\nkind = "rabbitmq"\n', "broker.password_file", "Name the file"),
        ("[broker]\ncluster = true\n", "broker.cluster", "choose rabbitmq"),
    ],
)
def test_a_mistake_names_the_file_the_field_and_what_to_do(home: Path, text: str, field: str, mend: str) -> None:
    write(home, text)
    said = fault(home)
    assert "dispatcher.toml" in said
    assert field in said
    assert mend in said
    assert "\n" not in said


@pytest.mark.parametrize("mode", [0o660, 0o606])
def test_a_file_that_others_may_write_is_refused(home: Path, mode: int) -> None:
    write(home, SERVER, mode)
    assert "chmod" in fault(home)


def test_a_link_is_not_followed(home: Path) -> None:
    (home / "real").write_text(SERVER)
    configuration_path(home).symlink_to(home / "real")
    assert "cannot be read" in fault(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_a_stranger_is_refused(home: Path) -> None:
    write(home, SERVER)
    os.chown(configuration_path(home), 12345, 12345)
    assert "not the dispatcher's own file" in fault(home)


@pytest.mark.parametrize(
    ("content", "mode", "mend"), [("x", 0o640, "chmod 0600"), ("", 0o600, "alone"), (None, 0, "mode 0600")]
)
def test_a_password_that_others_may_read_or_that_is_not_there_is_refused(
    home: Path, content: str | None, mode: int, mend: str
) -> None:
    write(home, SERVER)
    if content is not None:
        (home / "database-password").write_text(content)
        (home / "database-password").chmod(mode)
    database = read_configuration(home).database
    with pytest.raises(BadConfiguration, match=mend):
        _ = database.password


@pytest.mark.parametrize(("section", "model"), [("database", Database), ("broker", Broker)])
def test_the_reference_names_each_setting_with_its_default(section: str, model: type[Database | Broker]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "dispatcher-toml.md").read_text(encoding="utf-8")
    [text] = re.findall(rf"^## \[{section}\]$(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) ?\|", text, re.MULTILINE))
    assert list(told) == list(model.model_fields)
    for name, field in model.model_fields.items():
        if field.default is not None:
            assert json.loads(told[name].strip("`")) == json.loads(json.dumps(field.default)), name
