from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from central_dispatch.fleet.certificates import CheckedCertificate, check_certificate, covers
from dispatchers.certificates import (
    HOSTS,
    LEAF,
    LEAF_KEY,
    MIDDLE,
    MIDDLE_KEY,
    NOW,
    ROOT,
    ROOT_KEY,
    certificate,
    new_key,
    pem,
)

SHORT_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505 it is to be refused


def test_a_good_certificate_is_taken_with_its_chain_in_order() -> None:
    checked = check_certificate(LEAF, pem(LEAF_KEY), MIDDLE + ROOT, HOSTS, NOW)
    assert isinstance(checked, CheckedCertificate), checked
    assert checked.certificate == LEAF
    assert checked.chain == MIDDLE + ROOT
    assert checked.view.names == ("acme.example.com", "*.acme.example.com")
    assert "PRIVATE" not in repr(checked)


def test_a_full_chain_file_is_taken_apart() -> None:
    checked = check_certificate(LEAF + MIDDLE, pem(LEAF_KEY), "", HOSTS, NOW)
    assert isinstance(checked, CheckedCertificate)
    assert (checked.certificate, checked.chain) == (LEAF, MIDDLE)


@pytest.mark.parametrize(
    ("leaf", "key", "chain", "hosts", "field", "words"),
    [
        ("nonsense", pem(LEAF_KEY), "", HOSTS, "certificate", "is not a certificate"),
        (LEAF.replace("M", "N", 3), pem(LEAF_KEY), "", HOSTS, "certificate", "is not a certificate"),
        (pem(LEAF_KEY), pem(LEAF_KEY), "", HOSTS, "certificate", "holds a private key"),
        (LEAF, "nonsense", "", HOSTS, "key", "is not a private key"),
        (LEAF, pem(LEAF_KEY, b"secret"), "", HOSTS, "key", "protected by a password"),
        (LEAF, pem(ed25519.Ed25519PrivateKey.generate()), "", HOSTS, "key", "browsers do not accept"),
        (LEAF, pem(SHORT_KEY), "", HOSTS, "key", "1024 bits"),
        (LEAF, pem(new_key()), "", HOSTS, "key", "does not fit the certificate"),
        (LEAF, pem(LEAF_KEY), "", ("other.example.com",), "certificate", "does not cover other.example.com"),
        (LEAF, pem(LEAF_KEY), "", ("a.b.acme.example.com",), "certificate", "does not cover a.b.acme"),
        (LEAF, pem(LEAF_KEY), ROOT + MIDDLE, HOSTS, "chain", "not in order: certificate 1"),
        (LEAF, pem(LEAF_KEY), MIDDLE + MIDDLE, HOSTS, "chain", "not in order: certificate 2"),
        (LEAF, pem(LEAF_KEY), "nonsense", HOSTS, "chain", "is not a certificate"),
        (
            certificate("old", LEAF_KEY, "middle", MIDDLE_KEY, names=HOSTS, ends=timedelta(seconds=0)),
            pem(LEAF_KEY),
            "",
            HOSTS,
            "certificate",
            f"expired on {NOW:%Y-%m-%d}",
        ),
        (
            certificate("new", LEAF_KEY, "middle", MIDDLE_KEY, names=HOSTS, begins=timedelta(hours=1)),
            pem(LEAF_KEY),
            "",
            HOSTS,
            "certificate",
            f"is not valid before {NOW + timedelta(hours=1):%Y-%m-%d %H:%M}",
        ),
        (
            LEAF,
            pem(LEAF_KEY),
            certificate("middle", MIDDLE_KEY, "root", ROOT_KEY, ends=timedelta(seconds=0)),
            HOSTS,
            "chain",
            "expired",
        ),
        (
            certificate("acme.example.com", LEAF_KEY, "middle", MIDDLE_KEY),
            pem(LEAF_KEY),
            "",
            HOSTS,
            "certificate",
            "does not cover",
        ),
    ],
)
def test_what_a_web_server_could_not_serve_is_refused_in_one_line_with_its_field(
    leaf: str, key: str, chain: str, hosts: tuple[str, ...], field: str, words: str
) -> None:
    found = check_certificate(leaf, key, chain, hosts, NOW)
    assert not isinstance(found, CheckedCertificate)
    assert [problem.field for problem in found] == [field]
    line = str(found[0])
    assert words in line
    assert "\n" not in line
    assert found[0].mend


def test_a_wildcard_stands_for_one_whole_label() -> None:
    assert covers(["*.example.com"], "a.example.com")
    assert not covers(["*.example.com"], "example.com")
    assert not covers(["*.example.com"], "a.b.example.com")
    assert not covers(["*"], "localhost")
    assert covers(["localhost"], "localhost")
