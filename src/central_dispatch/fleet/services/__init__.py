"""What can be done to the fleet: plain functions, each one transaction, audited, and announced to the live pages.

An expected bad ending is a `Refused`; callers match on it. Permissions are checked here, whoever calls.
"""
