"""Makes Django ready in a process that is not a web server: the command line, a script, a test."""

import os

import django
from django.apps import apps

from central_dispatch.fleet.home import make_secret_key


def prepare_django() -> None:
    """Name the settings and load the applications. May be called again; does not touch the database."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "central_dispatch.portal.settings")
    if not apps.ready:
        make_secret_key()
        django.setup()
