"""Real queue workers for tests: a store and a broker of their own, parents as processes, handlers that misbehave."""
