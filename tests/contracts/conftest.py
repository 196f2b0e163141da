"""The fixtures that contract tests of stores share. A module with a `site` of its own has that."""

from store_calls import mine, site, store

__all__ = ["mine", "site", "store"]
