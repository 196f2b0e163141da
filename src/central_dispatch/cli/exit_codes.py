"""How a command ends, as a number (docs/reference/exit-codes.md)."""

OK = 0
FAILED = 1  # refused, or it did not work; the reason is on the screen
USAGE = 2  # Click's own: an unknown option, a missing argument
NOT_FOUND = 3
UNDONE = 4  # a run, or a job that was followed, ended, but not done: backed out, refused, lost, stuck; in error
AWAY = 5  # something it needs does not answer: the dispatcher, a server
BUSY = 75  # another host worker holds this host's lock (EX_TEMPFAIL)
LEFT = 130  # Ctrl-C: what was watched goes on, and what was done before is done
