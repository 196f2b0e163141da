"""What tests of the dispatcher share: a database of their own, people, workers, a scripted host, a running server.

Importing it makes Django ready, once per process, with a home directory of the tests' own. The tests empty that
database again and again, so a home that the environment names is never used.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from django.conf import settings


def _prepare() -> None:
    if not settings.configured:
        home = tempfile.mkdtemp(prefix="dispatcher-test-")
        os.environ["CENTRAL_DISPATCH_HOME"] = home
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    from central_dispatch.portal.setup import prepare_django  # noqa: PLC0415 after the environment

    prepare_django()
    database = Path(settings.DATABASES["default"]["NAME"]).resolve()
    if Path(tempfile.gettempdir()).resolve() not in database.parents:
        raise RuntimeError(f"{database} is not a test's database: it would be emptied")


_prepare()
