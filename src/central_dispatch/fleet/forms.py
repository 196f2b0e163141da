"""What callers hand to the services: raw text as a person typed it. The services parse and judge it."""

from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from central_dispatch.fleet.models import Worker
from central_dispatch.fleet.refusal import problems_of
from central_dispatch.provisioning import names
from central_dispatch.provisioning.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerForm:
    """A new worker, prefilled for one machine."""

    name: str = "localhost"
    host_url: str = "localhost"
    install_path: str = "/var/www"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What the portal (not the host) decides about a worker. `allowed_user_ids` empty: every operator."""

    default_admin_email: str = ""
    default_hostname_pattern: str = "{name}.{host}"
    default_schedule: bool = True
    allowed_user_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceForm:
    """An instance as typed. What is left blank gets the worker's default; `key` is never stored as it is."""

    worker: str
    name: str
    hostnames: tuple[str, ...] = ()
    source: str = ""
    release: str = ""
    web_root: str = ""
    database: str = ""
    database_user: str = ""
    admin_email: str = ""
    schedule: bool | None = None
    own_certificate: bool = False
    certificate: str = ""
    key: str = field(default="", repr=False)
    chain: str = ""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkerValues(_Frozen):
    """A parsed `WorkerForm`."""

    name: names.WorkerName
    host_url: names.HostUrl
    install_path: names.AbsolutePath


class InstanceValues(_Frozen):
    """The parsed names of an `InstanceForm`."""

    name: names.InstanceName
    hostnames: tuple[names.Hostname, ...]
    source: names.SourceName
    release: names.ReleaseName
    web_root: names.DirectoryName
    database: names.DatabaseName
    database_user: names.DatabaseUser
    admin_email: names.Email
    schedule: bool


def parse_worker(form: WorkerForm) -> WorkerValues | tuple[Problem, ...]:
    """Parse, or say what is wrong with each field."""
    try:
        return WorkerValues(name=form.name, host_url=form.host_url, install_path=form.install_path)
    except ValidationError as error:
        return tuple(_in_words(problem) for problem in problems_of(error))


def _in_words(problem: Problem) -> Problem:
    if problem.field == "name":
        return replace(
            problem, what="use 1 to 63 letters, digits, spaces and . _ - ( ), starting with a letter or digit"
        )
    return problem


def parse_instance(form: InstanceForm) -> InstanceValues | tuple[Problem, ...]:
    """Parse, or say what is wrong with each field."""
    missing = tuple(_missing(form))
    try:
        values = InstanceValues(
            name=form.name.strip(),
            hostnames=form.hostnames,
            source=form.source or "x",
            release=form.release or "x",
            web_root=form.web_root,
            database=form.database,
            database_user=form.database_user,
            admin_email=form.admin_email or "missing@example.com",
            schedule=bool(form.schedule),
        )
    except ValidationError as error:
        return (*missing, *problems_of(error))
    found = (*missing, *_doubled(values.hostnames))
    return found or values


def _missing(form: InstanceForm) -> list[Problem]:
    words = {
        "source": "choose a source",
        "release": "choose a release",
        "admin_email": "is needed; write it like admin@example.com",
    }
    found = [Problem(text, field=name) for name, text in words.items() if not getattr(form, name).strip()]
    if not form.hostnames:
        found.append(Problem("at least one hostname is needed", field="hostnames"))
    if len(form.hostnames) > 50:  # noqa: PLR2004 the host's limit, too
        found.append(Problem("at most 50 hostnames", field="hostnames"))
    return found


def _doubled(hostnames: tuple[str, ...]) -> list[Problem]:
    twice = sorted({name for name in hostnames if hostnames.count(name) > 1})
    return [Problem(f"“{name}” is named twice; once is enough", field="hostnames") for name in twice]


def filled_in(form: InstanceForm, worker: Worker) -> InstanceForm:
    """Return the form with the worker's defaults in its blank fields, as the portal prefills it."""
    name = form.name.strip()
    hostnames = tuple(filter(None, (text.strip() for text in form.hostnames)))
    return replace(
        form,
        hostnames=hostnames or ((default_hostname(worker, name),) if name else ()),
        web_root=form.web_root.strip() or name,
        database=form.database.strip() or free_database_name(name),
        database_user=form.database_user.strip() or free_database_name(name),
        admin_email=form.admin_email.strip() or worker.default_admin_email,
        source=form.source.strip(),
        release=form.release.strip(),
        schedule=worker.default_schedule if form.schedule is None else form.schedule,
    )


def free_database_name(instance: str) -> str:
    """Return the name that is prefilled for database and user: never one of the server's own."""
    name = names.database_name_for(instance)
    taken = names.RESERVED_DATABASES | names.RESERVED_DATABASE_USERS
    return f"{name}_portal" if name in taken else name


def default_hostname(worker: Worker, instance: str) -> str:
    """Return the hostname that the worker's pattern makes of an instance's name."""
    host = urlsplit(worker.host_url).hostname or ""
    return worker.default_hostname_pattern.replace("{name}", instance).replace("{host}", host)


def check_pattern(pattern: str) -> Problem | None:
    """Say what is wrong with a default hostname pattern."""
    sample = pattern.replace("{name}", "acme").replace("{host}", "host.example.com")
    if "{name}" not in pattern:
        return Problem(
            "needs {name}, else every instance would get the same hostname", field="default_hostname_pattern"
        )
    try:
        names.parse_hostname(sample)
    except ValueError:
        return Problem("does not make a hostname; write it like {name}.{host}", field="default_hostname_pattern")
    return None
