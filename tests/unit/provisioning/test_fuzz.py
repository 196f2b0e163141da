"""Whatever a person types: it is refused in one line that names the field, or it stays where it belongs.

At least 2,000 cases a run over all fields (the proof of the issue); `CENTRAL_DISPATCH_FUZZ=N` asks for more.
"""

import os
import re
import shlex
from pathlib import PurePosixPath
from typing import Any, TypeVar

from hypothesis import HealthCheck as Hypothesis
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from central_dispatch.provisioning.ingredients import Ingredients, own_certificate_paths
from central_dispatch.provisioning.manifest import Command, Health, Manifest
from central_dispatch.provisioning.manifest import Schedule as ManifestSchedule
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.plans import deployment
from central_dispatch.provisioning.ports import DatabaseAddress
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.site import CertificateFiles, Site
from central_dispatch.provisioning.spec import InstanceSpec
from central_dispatch.provisioning.steps.code import Code
from central_dispatch.provisioning.steps.database import Database
from central_dispatch.provisioning.steps.schedule import Schedule
from central_dispatch.provisioning.steps.system_user import SystemUser
from central_dispatch.provisioning.steps.virtual_host import VirtualHost
from central_dispatch.provisioning.templates import LITERALS, render

CASES = int(os.environ.get("CENTRAL_DISPATCH_FUZZ", "500"))  # for each of the five tests below

VHOST = "ServerName {{ hostnames[0] }}\nDocumentRoot {{ document_root }}\nSSLCertificateFile {{ certificate }}\n"
POOL = "[{{ instance }}]\nlisten = {{ socket }}\n"
SITE = Site(
    install_path="/var/www",
    vhost_directory="/etc/apache2/sites-available",
    enabled_directory="/etc/apache2/sites-enabled",
    vhost_template=VHOST,
    vhost_template_path="vhost.conf.j2",
    certificate_directory="/etc/apache2/certs",
    default_certificate=None,
    archive_directory="/var/www/archives",
    pool_directory="/etc/central-dispatch/php",
    pool_template=POOL,
    runtime_directory="/run/central-dispatch",
    web_server_user="www-data",
    web_server_version=(2, 4),
    https_port=443,
    http_port=80,
    php="/usr/bin/php",
    php_fpm="/usr/sbin/php-fpm8.2",
    database=DatabaseAddress(socket="/run/mysqld/mysqld.sock"),
    separate_users=True,
    worker_user="root",
)
MANIFEST = Manifest(
    name="Fuzzed",
    shared=("storage/app",),
    config=(),
    install=Command(argv=("{php}", "{source}/install.php")),
    schedule=ManifestSchedule(argv=("{php}", "{release}/cron.php", "50%")),
    health=Health(contains="ok"),
)
GOOD: dict[str, Any] = {
    "id": "0" * 32,
    "name": "acme-press",
    "hostnames": ["acme.example.com"],
    "source": "sample",
    "release": "1.0.0",
    "web_root": "acme-press",
    "database": "acme_press",
    "database_user": "acme_press",
    "admin_email": "admin@example.com",
}
# What breaks out of a shell, SQL, an Apache or PHP-FPM configuration, a crontab, a path or a terminal.
SHARP = [
    "'; DROP DATABASE mysql; --", "`id`", "$(id)", "a\nRequire all granted", "</VirtualHost>", "../../etc", "..", ".",
    "/etc/passwd", "a b", "a%b", "a_b", "\x00", "\r", "\t", "\x1b[31m", "a;b", "a|b", "a&b", "*", "?", "~root", "-rf",
    "a\\b", '"', "'", "%{HTTP_HOST}", "${APACHE_LOG_DIR}", "{{ 7*7 }}", "xn--", "xn--a", "localhost", "1.2.3.4",
    "a..b", "-a", "a-", "a" * 300, "Ü", "ß", "\uff0e", "a。b", "\u202e", "İ", "root", "mysql", "CON", "a@b@c", "[::1]",
]  # fmt: skip
TYPED = st.one_of(
    st.sampled_from(SHARP),
    st.text(max_size=40),
    st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True),
    st.builds(lambda *parts: "".join(parts), st.sampled_from(list(GOOD.values())[1:2]), st.sampled_from(SHARP)),
    st.builds(
        lambda good, sharp, at: good[:at] + sharp + good[at:],
        st.just("acme.example.com"),
        st.sampled_from(SHARP),
        st.integers(0, 16),
    ),
)
FUZZ = settings(max_examples=CASES, deadline=None, suppress_health_check=[Hypothesis.too_slow])


def planned(spec: InstanceSpec, site: Site = SITE) -> Plan:
    certificate, key = own_certificate_paths(site, spec.name)
    made = deployment(
        Ingredients(
            spec=spec, manifest=MANIFEST, site=site, source="/srv/s/sample", release="/srv/s/sample/releases/1.0.0",
            size=1, uid=20001, token="0" * 32, certificate=CertificateFiles(certificate, key, "", "0" * 64, ()),
        )
    )  # fmt: skip
    assert isinstance(made, Plan), made
    return made


def one_line_naming(error: ValidationError, field: str) -> None:
    for found in error.errors(include_url=False):
        assert found["loc"][0] == field
        assert "\n" not in found["msg"]
        assert 0 < len(found["msg"]) < 300


S = TypeVar("S")


def step(plan: Plan, kind: type[S]) -> S:
    return next(step for step in plan.steps if isinstance(step, kind))


def below(path: str, *roots: str) -> bool:
    pure = PurePosixPath(path)
    return ".." not in pure.parts and any(pure.is_relative_to(root) and str(pure) != root for root in roots)


def check_confined(spec: InstanceSpec) -> None:
    """See that each path, name and line of the plan holds the typed value as one harmless word."""
    plan = planned(spec)
    assert below(step(plan, Code).target, f"/var/www/{spec.web_root}")
    vhost = step(plan, VirtualHost)
    assert PurePosixPath(vhost.path).parent == PurePosixPath(SITE.vhost_directory)
    assert PurePosixPath(vhost.enabled).parent == PurePosixPath(SITE.enabled_directory)
    lines = vhost.text.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["ServerName", "DocumentRoot", "SSLCertificateFile"]
    assert lines[0] == f"ServerName {spec.hostnames[0]}"
    assert re.fullmatch(r"[a-z0-9.-]+", spec.hostnames[0])
    assert re.fullmatch(r"cd-[a-z0-9-]{1,26}", step(plan, SystemUser).user)
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,62}", step(plan, Database).database)
    cron = step(plan, Schedule)
    line = cron._line()
    assert "\n" not in line
    # cron hands everything after the five fields to a shell, with an escaped % as %.
    words = shlex.split(line.split(" ", 5)[5].replace(r"\%", "%"))
    assert words[:3] == ["cd", f"/var/www/{spec.web_root}/current", "&&"]
    assert words[3:6] == ["/usr/bin/php", f"/var/www/{spec.web_root}/releases/{spec.release}/cron.php", "50%"]
    for change in (change for step_ in plan.steps for change in step_.changes()):
        assert "\x00" not in change.where
        assert "\n" not in change.where


@FUZZ
@given(st.sampled_from(["name", "source", "release", "web_root", "database", "database_user", "admin_email"]), TYPED)
def test_a_typed_name_is_refused_in_one_line_that_names_the_field_or_stays_in_its_tree(field: str, typed: str) -> None:
    try:
        spec = InstanceSpec.model_validate({**GOOD, field: typed})
    except ValidationError as error:
        one_line_naming(error, field)
        return
    check_confined(spec)


@FUZZ
@given(st.lists(TYPED, min_size=1, max_size=3))
def test_a_typed_hostname_is_refused_in_one_line_or_is_one_word_of_a_virtual_host(typed: list[str]) -> None:
    try:
        spec = InstanceSpec.model_validate({**GOOD, "hostnames": typed})
    except ValidationError as error:
        for found in error.errors(include_url=False):
            assert "hostname" in str(found["loc"] or found["msg"])
            assert "\n" not in found["msg"]
        return
    check_confined(spec)


@FUZZ
@given(TYPED, st.sampled_from(["install_path", "certificate_directory", "vhost_directory", "runtime_directory"]))
def test_a_path_from_the_hosts_settings_never_breaks_out_of_a_line_of_configuration(typed: str, field: str) -> None:
    site = SITE.__class__(
        **{name: getattr(SITE, name) for name in SITE.__dataclass_fields__} | {field: f"/srv/{typed}"}
    )
    certificate, key = own_certificate_paths(site, "acme-press")
    made = deployment(
        Ingredients(
            spec=InstanceSpec.model_validate(GOOD), manifest=MANIFEST, site=site, source="/srv/s", release="/srv/s/r",
            size=1, uid=20001, token="0" * 32, certificate=CertificateFiles(certificate, key, "", "0" * 64, ()),
        )
    )  # fmt: skip
    if isinstance(made, Problem):
        assert "template" in str(made)
        assert "\n" not in str(made)
        return
    for line in step(made, VirtualHost).text.splitlines():
        word, value = line.split(" ", 1)
        assert word in {"ServerName", "DocumentRoot", "SSLCertificateFile"}
        bare = value[1:-1] if value.startswith('"') else value
        assert not set(bare) & set("\"'<>\\$%`;#\r\x00")


@FUZZ
@given(st.sampled_from(sorted(LITERALS)), st.one_of(TYPED, st.integers(), st.booleans()))
def test_a_template_value_is_one_literal_of_its_language_or_the_file_is_not_written(language: Any, value: Any) -> None:
    text = render("before {{ value }} after", language, {"value": value}, "t.j2")
    if isinstance(text, Problem):
        assert language in {"apache", "fpm", "env", "ini", "php"}
        return
    literal = text.removeprefix("before ").removesuffix(" after")
    assert text == f"before {literal} after"
    if language == "php" and isinstance(value, str):
        assert literal[0] == literal[-1] == "'"
        assert re.fullmatch(r"(?:[^\\']|\\\\|\\')*", literal[1:-1], re.DOTALL)
        assert re.sub(r"\\([\\'])", r"\1", literal[1:-1]) == value
    if language in {"env", "ini"} and isinstance(value, str):
        assert literal[0] == literal[-1] == '"'
        assert re.fullmatch(r'(?:[^\\"$\n]|\\["\\$])*', literal[1:-1])
    if language in {"apache", "fpm"}:
        assert "\n" not in literal
        assert not set(literal.strip('"')) & set("\"'<>\\$%`;#\r\x00")


@FUZZ
@given(
    st.lists(
        st.text(min_size=1, max_size=20).filter(lambda text: not set(text) & set("\x00\r\n")), min_size=1, max_size=4
    )
)
def test_a_manifests_arguments_reach_a_crontab_as_the_words_they_are(argv: list[str]) -> None:
    schedule = Schedule(
        user="cd-a", instance="a", cron="* * * * *", argv=tuple(argv), directory="/d", log="/l", own_table=True
    )
    line = schedule._line()
    words = shlex.split(line.split(" ", 5)[5].replace(r"\%", "%"))
    assert words[3:-2] == argv
