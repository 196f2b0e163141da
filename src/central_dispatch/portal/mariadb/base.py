"""The database wrapper that Django loads: searches that do not heed case say so, as the columns' collation does."""

from typing import ClassVar

from django.db.backends.mysql import base

_ANY_CASE = "LIKE %s COLLATE utf8mb4_unicode_ci"


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose `iexact`, `icontains` and their like find upper and lower case."""

    operators: ClassVar[dict[str, str]] = {  # type: ignore[misc] # the stubs have it of the instance
        **base.DatabaseWrapper.operators,
        "iexact": _ANY_CASE,
        "icontains": _ANY_CASE,
        "istartswith": _ANY_CASE,
        "iendswith": _ANY_CASE,
    }
