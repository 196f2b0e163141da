"""What tests of the dispatcher share: a database of their own, people, workers, a scripted host, a running server.

Importing it makes Django ready, once per process, with a home directory of the tests' own. The tests empty that
database again and again, so a home that the environment names is never used.

CENTRAL_DISPATCH_TEST_DATABASE=postgresql or mariadb: on a server that is started for it, in place of SQLite.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from django.conf import settings

from queue_workers.rig import write_configuration
from servers.job_databases import shared_server

ENGINE = os.environ.get("CENTRAL_DISPATCH_TEST_DATABASE", "sqlite")
NAME = "dispatcher_of_tests"


def _prepare() -> None:
    if not settings.configured:
        home = tempfile.mkdtemp(prefix="dispatcher-test-")
        os.environ["CENTRAL_DISPATCH_HOME"] = home
        if ENGINE != "sqlite":
            shared_server(ENGINE).make_database(NAME)
            write_configuration(Path(home), shared_server(ENGINE).toml(NAME))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    from central_dispatch.portal.setup import prepare_django  # noqa: PLC0415 after the environment

    prepare_django()
    name = settings.DATABASES["default"]["NAME"]
    database = Path(name).resolve()
    if name != NAME and Path(tempfile.gettempdir()).resolve() not in database.parents:
        raise RuntimeError(f"{database} is not a test's database: it would be emptied")


_prepare()
