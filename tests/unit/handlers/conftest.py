"""The dispatcher's fixtures."""

from dispatchers.fixtures import administrator, database, migrated, person

__all__ = ["administrator", "database", "migrated", "person"]
