"""What tests of the dispatcher share: a database of their own, people, workers, a scripted host, a running server.

Importing it makes Django ready, once per process, with a home directory of the tests' own.
"""

import atexit
import os
import shutil
import tempfile

from django.conf import settings


def _prepare() -> None:
    if not settings.configured and "CENTRAL_DISPATCH_HOME" not in os.environ:
        home = tempfile.mkdtemp(prefix="dispatcher-test-")
        os.environ["CENTRAL_DISPATCH_HOME"] = home
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    from central_dispatch.portal.setup import prepare_django  # noqa: PLC0415 after the environment

    prepare_django()


_prepare()
