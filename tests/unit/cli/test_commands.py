import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from central_dispatch.cli import COMMANDS, exit_codes, main
from central_dispatch.cli.lazy import LazyGroup

DOCS = Path(__file__).parents[3] / "docs" / "reference"


def call(home: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["--home", str(home), *arguments], input=stdin)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENTRAL_DISPATCH_HOME", "")  # set by --home; put back after each test


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(leaves(main))


def test_the_table_of_commands_imports_nothing_until_one_is_called() -> None:
    """`--help` stays quick, and a host needs neither Django nor the portal."""
    code = (
        "import sys; from central_dispatch.cli import main; main(['--help'], standalone_mode=False);"
        "print([m for m in ('django', 'central_dispatch.fleet', 'uvicorn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["host", "source list", "doctor", "sandbox start", "worker execute"])
def test_what_a_host_needs_imports_no_django(command: str, tmp_path: Path) -> None:
    names = ["worker", "host", "show"] if command == "host" else command.split()
    code = (
        "import sys; from central_dispatch.cli import main\n"
        f"try: main(['--home', {str(tmp_path)!r}, *{names!r}])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('django', 'central_dispatch.fleet') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_takes_json_and_says_what_it_does(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert any("--json" in parameter.opts for parameter in command.params)
    assert command.help


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_is_in_the_reference(path: tuple[str, ...]) -> None:
    assert path[-1] in (DOCS / "cli.md").read_text()


GROUPS = {"job", "queue", "batch", "schedule", "restored"}
OF_QUEUES = {"execute", "run-service", "show-configuration", "list", "assignment", "install", "uninstall"}


def documented() -> dict[str, str]:
    """The rows of the jobs' table: a command's words, and what is said of it."""
    rows = [
        line for line in (DOCS / "cli.md").read_text().partition("## Jobs")[2].splitlines() if line.startswith("| `")
    ]
    found = {}
    for row in rows:
        command, _, says = row.removeprefix("| `").partition("` | ")
        words = [word for word in command.split() if word == word.lower() and word.replace("-", "").isalpha()]
        found[" ".join(words)] = says
    return found


def test_the_jobs_commands_in_the_reference_are_those_there_are_with_all_their_options() -> None:
    real = {
        " ".join(path): command
        for path, command in ALL.items()
        if path[0] in GROUPS or (path[0] == "worker" and path[1] in OF_QUEUES)
    }
    rows = {name: says for name, says in documented().items() if name.split()[0] in GROUPS | {"worker"}}
    rows = {name: says for name, says in rows.items() if not name.startswith("worker host")}
    assert set(rows) == set(real)
    for name, command in real.items():
        options = {part.opts[-1] for part in command.params if isinstance(part, click.Option)} - {"--json"}
        said = set(re.findall(r"--[a-z-]+", rows[name]))
        assert said == options, name


def test_every_exit_code_is_in_the_reference() -> None:
    table = (DOCS / "exit-codes.md").read_text()
    codes = [value for name, value in vars(exit_codes).items() if name.isupper()]
    assert all(f"| {code} |" in table for code in codes)


@pytest.mark.parametrize(
    "arguments", [("instance", "list"), ("run", "show", "x"), ("worker", "list"), ("audit", "list")]
)
def test_without_a_dispatcher_the_fleets_commands_say_so_and_end_with_3(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = call(tmp_path, *arguments)
    assert done.exit_code == exit_codes.NOT_FOUND
    assert "There is no dispatcher here" in done.stderr
    assert "central-dispatch up" in done.stderr
    assert done.stdout == ""


def test_with_json_an_error_is_one_json_value_on_standard_output(tmp_path: Path) -> None:
    done = call(tmp_path, "instance", "list", "--json")
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == done.exit_code == exit_codes.NOT_FOUND
    assert error["problems"][0]["what"] == "There is no dispatcher here"
    assert done.stderr == ""


def test_an_unknown_option_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["run", "list", "--nonsense"]).exit_code == exit_codes.USAGE


def test_configure_writes_what_it_checked_and_refuses_the_rest_by_the_keys_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    good = call(home, "worker", "host", "configure", "layout=debian", "https_port=8443", "--json")
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout)["chosen"] == {"layout": "debian", "https_port": 8443}
    for bad, name in {"https_port=seven": "https_port", "install_path=var/www": "install_path", "wat=1": "wat"}.items():
        done = call(home, "worker", "host", "configure", bad)
        assert done.exit_code == exit_codes.FAILED
        assert name in done.stderr
    assert call(home, "worker", "host", "configure", "layout").exit_code == exit_codes.USAGE
    assert (home / "host.toml").read_text().count("\n") == 3


def test_enroll_takes_the_token_by_standard_input_only(tmp_path: Path) -> None:
    done = call(tmp_path, "worker", "host", "enroll", "--url", "https://localhost:1", stdin="not-a-token\n")
    assert done.exit_code == exit_codes.FAILED
    assert "not an enrolment token" in done.stderr
    assert "not-a-token" not in done.output
    assert not any("token" in option for option in ALL["worker", "host", "enroll"].params[0].opts)


def test_doctor_names_what_is_wrong_with_its_mend_and_ends_with_1(tmp_path: Path) -> None:
    done = call(tmp_path, "doctor", "--json")
    findings = {one["what"]: one for one in json.loads(done.stdout)}
    assert done.exit_code == exit_codes.FAILED
    assert findings["Python"]["ok"]
    assert findings["Enrolment"]["problem"]["mend"]


def test_doctor_stops_at_settings_that_others_could_have_written(tmp_path: Path) -> None:
    (tmp_path / "host.toml").write_text('layout = "debian"\n')
    (tmp_path / "host.toml").chmod(0o666)
    done = call(tmp_path, "doctor")
    assert done.exit_code == exit_codes.FAILED
    assert "chmod 0644" in done.stdout


def test_a_lazy_group_lists_both_its_table_and_what_was_added_to_it() -> None:
    group = LazyGroup("g", table={"late": ("central_dispatch.cli.serve:serve", "Comes late.")})
    group.add_command(click.Command("early", help="Is there."))
    assert group.list_commands(click.Context(group)) == ["early", "late"]
    shown = CliRunner().invoke(group, ["--help"]).output
    assert "Comes late." in shown
    assert "Is there." in shown


def test_a_host_without_the_portals_packages_says_so(tmp_path: Path) -> None:
    """The base install of a host: no Django, and no traceback for whoever asks for the dispatcher there."""
    code = (
        "import sys; sys.modules['django'] = None; from central_dispatch.cli import main; "
        f"main(['--home', {str(tmp_path)!r}, 'instance', 'list'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == exit_codes.FAILED
    assert "Traceback" not in done.stderr
    assert "central-dispatch[portal]" in done.stderr
