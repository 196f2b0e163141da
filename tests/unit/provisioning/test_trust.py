from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.provisioning.trust import EnrolmentToken, fingerprint, seal, unseal

KEY = X25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
FIXTURE = (
    "f90b36ff029fc227724f0d45892e98f9b1c554b7c02a1e3dc74ae2ba32632855fc689a02417aaf41"
    "d2bef9005a9248d0a748b3a1916434dde4276f8feb69f3fa39e3"
)
PLACE = {"purpose": "tls-key", "worker": "a" * 32, "instance": "b" * 32}


@given(st.binary(max_size=5000))
def test_what_is_sealed_opens_for_its_host_purpose_and_instance_alone(plaintext: bytes) -> None:
    sealed = seal(plaintext, PUBLIC, **PLACE)
    assert unseal(sealed, KEY, **PLACE) == plaintext
    for name in PLACE:
        assert unseal(sealed, KEY, **{**PLACE, name: "c" * 32}) is None
    assert unseal(sealed, X25519PrivateKey.generate(), **PLACE) is None


@given(st.binary(max_size=200))
def test_a_damaged_ciphertext_opens_nothing_and_raises_nothing(noise: bytes) -> None:
    assert unseal(noise, KEY, **PLACE) is None
    sealed = seal(b"secret", PUBLIC, **PLACE)
    assert unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), KEY, **PLACE) is None


def test_the_format_stays_readable_by_the_next_version() -> None:
    """A ciphertext that this version made: a change of suite or info would strand every sealed key."""
    key = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    assert unseal(bytes.fromhex(FIXTURE), key, **PLACE) == b"a key of version 1"


def test_a_token_says_its_secret_and_pin_and_shows_neither() -> None:
    token = EnrolmentToken("s3cret", "p1n")
    assert EnrolmentToken.from_text(f"  {token.to_text()}\n") == token
    assert "s3cret" not in repr(token)


@given(st.text(max_size=60))
def test_what_is_no_token_is_none(text: str) -> None:
    parsed = EnrolmentToken.from_text(text)
    assert parsed is None or parsed.to_text() == text.strip()


def test_a_fingerprint_is_eight_groups_that_people_can_compare() -> None:
    shown = fingerprint(b"k" * 32)
    assert [len(group) for group in shown.split(" ")] == [4] * 8
    assert shown != fingerprint(b"l" * 32)
