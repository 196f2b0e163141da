import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from central_dispatch.provisioning import names

# What a shell, SQL, an Apache configuration, a crontab or a path gives a meaning to.
DANGEROUS = set("\"'`\\$;&|<>(){}[]*?!#%~\0\n\r\t")
ONE_WORD: dict[str, Callable[[str], str]] = {
    "instance": names.parse_instance_name,
    "hostname": names.parse_hostname,
    "database": names.parse_database_name,
    "database_user": names.parse_database_user,
    "source": names.parse_source_name,
    "release": names.parse_release_name,
    "web_root": names.parse_directory_name,
    "email": names.parse_email,
}
PATHS: dict[str, Callable[[str], str]] = {
    "relative": names.parse_relative_path,
    "absolute": names.parse_absolute_path,
}
ALL = {**ONE_WORD, **PATHS, "host_url": names.parse_host_url}
# Whatever a person can type, and text that is near to what is allowed, so that much of it is accepted.
near = st.text(alphabet="abz019-_.@:/ +=,éß", max_size=70)
typed = st.one_of(
    st.text(max_size=300),
    near,
    st.from_regex(r"[a-z][a-z0-9.-]{0,40}", fullmatch=True),
    st.from_regex(r"/?[a-z0-9_.-]{1,9}(/[a-z0-9_. -]{1,9}){0,5}", fullmatch=True),
    st.builds(lambda a, b: f"{a}@{b}", near, near),
    st.builds(lambda a, b, c: a + b + c, near, st.sampled_from([*sorted(DANGEROUS), "..", "//", "%0a"]), near),
)
several = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def accepted(parse: Callable[[str], str], text: str) -> str | None:
    """Return what the parser made of it; a refusal must be one line."""
    try:
        return parse(text)
    except ValueError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) == 1
    return None


@pytest.mark.parametrize("field", ALL)
@several
@given(typed)
@example("a\n")
@example("a\u2028b")
@example("-a")
def test_an_accepted_name_holds_no_character_that_matters_to_a_shell_sql_apache_or_a_path(
    field: str, typed: str
) -> None:
    name = accepted(ALL[field], typed)
    if name is None:
        return
    assert not DANGEROUS & set(name)
    assert name.isascii()
    assert name.isprintable()
    if field in ONE_WORD:
        assert not set(name) & {"/", " "}
        assert name not in {".", ".."}
    if field not in PATHS:
        # `-x` would be an option; a path is never used without its root before it.
        assert not name.startswith("-") or field == "email"


@pytest.mark.parametrize("field", ALL)
@several
@given(typed)
def test_parsing_what_was_parsed_changes_nothing(field: str, typed: str) -> None:
    name = accepted(ALL[field], typed)
    if name is not None:
        assert ALL[field](name) == name


@several
@given(typed)
def test_an_accepted_path_stays_below_its_root(typed: str) -> None:
    for parse in PATHS.values():
        path = accepted(parse, typed)
        if path is not None:
            assert ".." not in path.split("/")
            assert "//" not in path
            assert path not in {"", "/"}


@several
@given(st.from_regex(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,25}", fullmatch=True))
def test_what_is_made_from_an_instances_name_is_a_valid_name_itself(name: str) -> None:
    if accepted(names.parse_instance_name, name) is None:
        return
    user = names.unix_user_for(name)
    assert len(user) <= 32
    assert re.fullmatch(r"[a-z][a-z0-9-]*", user)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", names.database_name_for(name))


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("Portal.Example.COM.", "portal.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        (" localhost ", "localhost"),
    ],
)
def test_a_hostname_gets_one_form(typed: str, parsed: str) -> None:
    assert names.parse_hostname(typed) == parsed


@pytest.mark.parametrize(
    "typed", ["127.0.0.1", "::1", "1.2.3", "a..b", "*.example.com", "https://a.example", "a:80", ""]
)
def test_what_is_no_hostname_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"write it like|needs a hostname"):
        names.parse_hostname(typed)


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        ("localhost", "https://localhost"),
        ("https://Host.example:8443/", "https://host.example:8443"),
        ("http://10.0.0.1", "http://10.0.0.1"),
    ],
)
def test_a_host_url_gets_one_form(typed: str, parsed: str) -> None:
    assert names.parse_host_url(typed) == parsed


@pytest.mark.parametrize("typed", ["ftp://a", "a:0", "a:65536", "a:x", "a/b", "https://u@a"])
def test_what_is_no_host_url_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).+"):
        names.parse_host_url(typed)
