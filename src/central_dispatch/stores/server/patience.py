"""How long a server may take, in seconds: each limit is below the next, so that the nearest one speaks first."""

CONNECT_S = 5
#: For a row that somebody has locked.
LOCK_S = 8
#: For one statement, by the server's own clock.
STATEMENT_S = 15
#: For an answer of any kind: a server that neither answers nor goes away does not hang a queue worker.
PATIENCE_S = 20.0
#: A transaction that does nothing: its process is stopped, and its locks are in others' way.
IDLE_S = 60
