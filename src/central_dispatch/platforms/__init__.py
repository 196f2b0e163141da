"""The operating systems: the only files that name one. Adapters of the ports in provisioning."""
