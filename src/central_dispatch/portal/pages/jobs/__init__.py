"""Worker Manager → Jobs: the list, a job's record, and what is done to one or to many."""
