import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from central_dispatch.fleet import home
from central_dispatch.fleet.actor import Role
from central_dispatch.portal import tls
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.first_start import first_start
from central_dispatch.provisioning.trust import certificate_pin
from dispatchers.certificates import LEAF, LEAF_KEY, pem


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CENTRAL_DISPATCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "dispatcher"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def served() -> x509.Certificate:
    return x509.load_pem_x509_certificate(tls.certificate_path().read_bytes())


def test_keys_are_private_and_made_once(elsewhere: Path) -> None:
    home.make_secret_key()
    tls.make_certificate()
    secret, key = (elsewhere / "secret-key").read_bytes(), tls.key_path().read_bytes()
    assert mode(elsewhere / "secret-key") == mode(tls.key_path()) == 0o600
    assert mode(elsewhere) == mode(tls.tls_directory()) == 0o700
    home.make_secret_key()
    tls.make_certificate()
    assert ((elsewhere / "secret-key").read_bytes(), tls.key_path().read_bytes()) == (secret, key)
    assert home.read_secret_key().encode() == secret


def test_a_private_file_never_overwrites_and_follows_no_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("foreign")
    (tmp_path / "link").symlink_to(target)
    home.write_private(tmp_path / "link", b"ours")
    assert target.read_text() == "foreign"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]


@pytest.mark.usefixtures("elsewhere")
def test_the_certificate_is_for_this_machine_and_its_pin_is_the_keys() -> None:
    tls.make_certificate()
    names = served().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert "127.0.0.1" in map(str, names.get_values_for_type(x509.IPAddress))
    assert tls.dispatcher_pin() == certificate_pin(served().public_bytes(Encoding.DER))
    assert len(tls.dispatcher_pin()) == 43


@pytest.mark.usefixtures("elsewhere")
def test_a_renewal_keeps_the_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    tls.make_certificate()
    pin, first = tls.dispatcher_pin(), served()
    tls.make_certificate(datetime.now(UTC) + timedelta(days=800))
    assert served().serial_number != first.serial_number
    monkeypatch.setenv("CENTRAL_DISPATCH_HOSTS", "dispatch.example.com")
    tls.make_certificate()
    assert "dispatch.example.com" in str(served().extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    assert tls.dispatcher_pin() == pin


@pytest.mark.usefixtures("elsewhere")
def test_a_certificate_that_we_did_not_make_is_left_alone() -> None:
    home.write_private(tls.key_path(), pem(LEAF_KEY).encode())
    home.write_private(tls.certificate_path(), LEAF.encode())
    tls.make_certificate(datetime.now(UTC) + timedelta(days=900))
    assert tls.certificate_path().read_text() == LEAF


@pytest.mark.usefixtures("database")
def test_the_first_start_makes_one_administrator_and_tells_the_password_once() -> None:
    first = first_start()
    assert first.password is not None
    assert first.password not in repr(first)
    user = User.objects.get()
    assert (user.username, user.roles) == ("admin", Role.ADMINISTRATOR)
    assert user.check_password(first.password)
    assert first_start().password is None
    assert User.objects.count() == 1
