"""Worker Manager → Queues and General settings."""
