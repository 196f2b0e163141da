"""Worker Manager → Batches: what one message was split into, as a whole."""
