import pytest

from central_dispatch.platforms.database_sql import escaped_pattern, prepare_sql, prepare_statements, quoted, text


def test_identifiers_and_texts_cannot_leave_their_quotes() -> None:
    assert quoted("a`b") == "`a``b`"
    assert text("it's") == "'it''s'"
    for odd in ("a\\", "a\n", "a\0"):
        with pytest.raises(ValueError, match="use no backslash"):
            text(odd)
    for odd in ("", "a\0"):
        with pytest.raises(ValueError, match="cannot be an identifier"):
            quoted(odd)


def test_a_grants_pattern_means_one_database_alone() -> None:
    assert escaped_pattern("acme_1%") == "acme\\_1\\%"


def test_the_shown_text_is_what_runs_but_for_the_password() -> None:
    run = prepare_statements("cd", "secret")
    shown = prepare_sql("cd", "secret")
    assert "secret" not in shown
    assert shown == "".join(f"{statement};\n" for statement in run).replace("secret", "********")
    assert "VIA unix_socket" in prepare_sql("root")


def test_the_account_gets_nothing_that_rules_the_server() -> None:
    grant = prepare_statements("cd", "secret")[-1]
    for right in ("ALL", "SUPER", "FILE", "SHUTDOWN", "RELOAD", "REPLICATION"):
        assert f" {right}" not in grant.replace("GRANT CREATE USER", "")
