"""Real servers and users for tests, each of the test's own, started and ended by it."""
