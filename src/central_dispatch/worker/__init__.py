"""The queue worker: a parent that runs no job code, and the children that do."""
