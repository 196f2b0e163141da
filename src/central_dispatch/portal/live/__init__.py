"""Live pages: hints of what changed, as server-sent events, and what wakes a waiting host."""
