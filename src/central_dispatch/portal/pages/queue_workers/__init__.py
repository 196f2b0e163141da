"""Worker Manager → Workers: the queue workers that run, and beside them the host workers."""
