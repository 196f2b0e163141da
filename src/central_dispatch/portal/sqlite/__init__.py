"""Django's SQLite backend with one write gate for all processes (DESIGN.md §5.4)."""
