"""What is secret is not shown, whatever holds it; what is not, is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.masking import MASK, secrets_of, shown_output, shown_payload, shown_text, shown_value

KINDS = {"ftp": Kind(name="ftp", handler="-", says="-", secret_fields=("proxy-line",))}


@pytest.mark.parametrize(
    "key",
    ["password", "ftpPassword", "PASSWD", "client_secret", "accessTokenInfo", "api-key", "X-Api-Key", "auth", "pin",
     "Authorization", "private_key", "proxyLine", "proxy-line", "sessionId", "credentials", "refresh.token",
     "otp", "userOtpCode", "user_otp", "otp-code", "totp", "USER_OTP", "otpCode"],
)  # fmt: skip
def test_a_secret_is_hidden_whole_by_its_keys_name(key: str) -> None:
    for secret in ("hunter22", {"value": "hunter22", "more": ["hunter22"]}, ["hunter22"], 12345678):
        shown = shown_payload("ftp", {"deep": [{key: secret}], key: secret}, KINDS)
        assert shown == {"deep": [{key: MASK}], key: MASK}


@pytest.mark.parametrize(
    "key",
    [
        "author",
        "keyword",
        "recordId",
        "passage",
        "pinned",
        "monkey",
        "path",
        "compass",
        "rootPath",
        "footprint",
        "ROOTPATH",
        "hotplug",
        "FootPrint",
    ],
)
def test_what_is_no_secret_is_shown(key: str) -> None:
    payload = {key: ["a", 1, None, {"b": True}]}
    assert shown_payload("ftp", payload, KINDS) == payload


def test_whether_there_is_a_secret_at_all_may_be_seen() -> None:
    payload = {"password": "", "token": None, "has_secret": True}
    assert shown_payload("ftp", payload, KINDS) == payload


def test_a_declared_field_is_its_kinds_alone() -> None:
    assert shown_payload("other", {"proxy-line": "x"}, KINDS) == {"proxy-line": "x"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ftp://anna:hunter22@files.example/x", f"ftp://anna:{MASK}@files.example/x"),
        ("GET https://h/x?p=2&access_token=hunter22&y=1 no", f"GET https://h/x?p=2&access_token={MASK}&y=1 no"),
        ("Authorization: Bearer hunter22.abc", f"Authorization: Bearer {MASK}"),
        ("at 12:30@noon see https://h/a:b", "at 12:30@noon see https://h/a:b"),
        ("ftp://bob:hun@ter:22@files.example/x", f"ftp://bob:{MASK}@files.example/x"),
        ("cloning https://ghp_hunter22@h/x failed", f"cloning https://{MASK}@h/x failed"),
        ("git+https://ghp@hunter22:@h/x", f"git+https://{MASK}:@h/x"),
        ("ssh://git@h/x and https://h:8443/x?to=a@b", "ssh://git@h/x and https://h:8443/x?to=a@b"),
        ("authorization: bearer hunter22.abc", f"authorization: bearer {MASK}"),
        ('{"Authorization": "basic aHVudGVyMjI="}', f'{{"Authorization": "basic {MASK}"}}'),
        ("a basic education is the bearer bondholder's", "a basic education is the bearer bondholder's"),
        ("redis://:hunter22@h", f"redis://:{MASK}@h"),
    ],
)  # fmt: skip
def test_addresses_and_headers_lose_their_secrets(text: str, shown: str) -> None:
    assert shown_text(text) == shown
    assert shown_value({"a": [text]}) == {"a": [shown]}


def test_a_payloads_secrets_are_found_in_texts_and_output_but_short_ones_are_not_looked_for() -> None:
    payload = {"password": "hunter22", "nested": {"token": ["tok-123456"]}, "pin": 42, "title": "hunters"}
    secrets = secrets_of("ftp", payload, KINDS)
    assert secrets == {"hunter22", "tok-123456"}
    assert shown_text("530 login anna/hunter22 refused", secrets) == f"530 login anna/{MASK} refused"
    assert shown_output(b"hunter22 \xff tok-123456", secrets) == f"{MASK} ".encode() + b"\xff " + MASK.encode()


def test_of_two_secrets_where_one_holds_the_other_nothing_is_left() -> None:
    assert shown_text("hunter22 hunter", {"hunter", "hunter22"}) == f"{MASK} {MASK}"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), _JSON, max_size=4), st.sampled_from(["password", "apiToken"]))
def test_a_secret_never_comes_through_and_the_shape_stays_json(payload: dict[str, Any], key: str) -> None:
    secret = "Zx9-never-shown"
    shown = shown_payload("ftp", {"outer": payload | {key: {"deep": [secret]}}}, KINDS)
    assert "never-shown" not in json.dumps(shown)
    assert set(shown["outer"]) == set(payload) | {key}
