"""The dispatcher's fixtures."""

from dispatchers.fixtures import administrator, browser, database, migrated, person

__all__ = ["administrator", "browser", "database", "migrated", "person"]
