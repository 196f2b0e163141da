from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Page, expect
from running_dispatcher import Dispatcher

pytestmark = pytest.mark.usefixtures("host")


def self_signed(hostname: str) -> tuple[bytes, bytes]:
    """Return a certificate and its key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hostname)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), pem


def test_an_own_certificate_is_checked_as_it_is_uploaded_and_its_key_is_never_shown_again(
    page: Page, dispatcher: Dispatcher, name: str, tmp_path: Path
) -> None:
    hostname = f"{name}.example.com"
    certificate, key = self_signed(hostname)
    _, other_key = self_signed(hostname)
    for file, content in (("cert.pem", certificate), ("key.pem", key), ("other.pem", other_key)):
        (tmp_path / file).write_bytes(content)
    page.goto(f"{dispatcher.url}/instances/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Hostnames").fill(hostname)
    page.get_by_label("Administrator e-mail").fill("a@example.com")
    page.get_by_label("An own certificate").check()
    page.get_by_label("Certificate (PEM): choose a file").set_input_files(tmp_path / "cert.pem")
    page.get_by_label("Private key (PEM, without a passphrase): choose a file").set_input_files(tmp_path / "other.pem")
    expect(page.get_by_label("Private key (PEM, without a passphrase)", exact=True)).not_to_be_empty()
    page.get_by_role("button", name="Save as draft").click()
    expect(page.locator("#id_key-error")).to_contain_text("does not fit the certificate")
    expect(page.get_by_label("Certificate (PEM)", exact=True)).to_have_value(certificate.decode())

    page.get_by_label("Private key (PEM, without a passphrase): choose a file").set_input_files(tmp_path / "key.pem")
    expect(page.get_by_label("Private key (PEM, without a passphrase)", exact=True)).to_have_value(key.decode())
    page.get_by_role("button", name="Save as draft").click()
    expect(page.locator("#instance")).to_contain_text("Own certificate")
    expect(page.locator("#instance")).to_contain_text(f"For {hostname}")

    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_text("A certificate and its key are stored")).to_be_visible()
    assert key.decode().splitlines()[1] not in page.content()
    page.get_by_role("button", name="Save as draft").click()  # left empty: they are kept
    expect(page.locator("#instance")).to_contain_text(f"For {hostname}")


def test_without_scripts_a_certificate_is_taken_from_its_files(
    dispatcher: Dispatcher, new_context: object, signed_in: Path, name: str, tmp_path: Path
) -> None:
    hostname = f"{name}.example.com"
    certificate, key = self_signed(hostname)
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    page = new_context(storage_state=signed_in, java_script_enabled=False).new_page()  # type: ignore[operator] # a fixture
    page.goto(f"{dispatcher.url}/instances/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Hostnames").fill(hostname)
    page.get_by_label("Administrator e-mail").fill("a@example.com")
    page.get_by_label("An own certificate").check()
    page.get_by_label("Certificate (PEM): choose a file").set_input_files(tmp_path / "cert.pem")
    page.get_by_label("Private key (PEM, without a passphrase): choose a file").set_input_files(tmp_path / "key.pem")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.locator("#instance")).to_contain_text(f"For {hostname}")
