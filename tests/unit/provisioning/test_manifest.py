import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_dispatch.provisioning.manifest import Manifest, read_manifest
from central_dispatch.provisioning.problem import Problem

SMALL = 'name = "Small"\n[health]\ncontains = "ok"\n'


def problem_of(text: str) -> Problem:
    found = read_manifest(text, "portal.toml")
    assert isinstance(found, Problem), found
    assert found.mend
    assert found.field == "source"
    assert len(str(found).splitlines()) == 1, str(found)
    return found


def test_a_name_and_a_health_check_are_all_that_is_needed() -> None:
    manifest = read_manifest(SMALL, "portal.toml")
    assert isinstance(manifest, Manifest)
    assert (manifest.runtime, manifest.document_root, manifest.database) == ("php", ".", True)
    assert (manifest.health.path, manifest.health.status) == ("/", 200)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name = ", "not valid TOML"),
        ('name = "x"', "health"),
        (f"nonsense = 1\n{SMALL}", "nonsense"),
        (f'document_root = "../other"\n{SMALL}', "never"),
        (f'shared = ["/etc"]\n{SMALL}', "shared"),
        (f'shared = ["storage", "storage/app"]\n{SMALL}', "storage/app lies inside storage"),
        (f'excluded = ["a/../../b"]\n{SMALL}', "excluded"),
        (f'runtime = "static"\n{SMALL}', "a static portal has no database"),
        (f"{SMALL}[install]\nargv = []", "argv"),
        (f'{SMALL}[install]\nargv = ["a\\nb"]', "argv"),
        (f'{SMALL}[install]\nargv = ["a"]\ntimeout_s = 0', "timeout_s"),
        (f'{SMALL}[schedule]\nargv = ["a"]\ncron = "@reboot"', "cron"),
        (f'{SMALL}[schedule]\nargv = ["a"]\ncron = "* * * * * rm"', "cron"),
        (f'{SMALL}[[config]]\ntemplate = "a"\ntarget = "../a"\nkind = "php"', "target"),
        (f'{SMALL}[[config]]\ntemplate = "a"\ntarget = "a"\nkind = "sh"', "kind"),
        (f'{SMALL}[secrets]\nBad = "password"', "secrets"),
        (f'{SMALL}[secrets]\ngood = "md5"', "secrets"),
        ('name = "x"\n[health]\npath = "healthz"\ncontains = "ok"', "health.path"),
        ('name = "x"\n[health]\npath = "/a b"\ncontains = "ok"', "health.path"),
        ('name = "x"\n[health]\ncontains = ""', "health.contains"),
    ],
)
def test_what_is_wrong_is_named_in_one_line_with_its_mend(text: str, names: str) -> None:
    assert names in str(problem_of(text))


@given(st.text(max_size=200))
def test_no_text_at_all_is_more_than_a_manifest_or_one_problem(text: str) -> None:
    found = read_manifest(text, "portal.toml")
    assert isinstance(found, (Manifest, Problem))


@given(st.text(min_size=1, max_size=40))
def test_a_shared_path_never_leads_out_of_its_root(path: str) -> None:
    quoted = "".join(f"\\U{ord(letter):08x}" for letter in path if not 0xD800 <= ord(letter) <= 0xDFFF)
    text = f'shared = ["{quoted}"]\n{SMALL}'
    assert tomllib.loads(text)
    found = read_manifest(text, "portal.toml")
    if isinstance(found, Manifest):
        assert not found.shared[0].startswith("/")
        assert ".." not in found.shared[0].split("/")
