"""Brokers: they carry bells, never a job."""
