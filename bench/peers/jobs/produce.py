"""Feeds a system: `produce.py MODULE`, then `burst|each|singly KIND COUNT` from standard input, a line each.

The module has `one(kind)`, and perhaps `burst(kind, count)`, where the system has a call for many.
Answers a line of JSON: for a burst the clock's time before its first job, for single ones the seconds each took.
"""

import json
import sys
import time
from importlib import import_module

#: Between two single jobs, in seconds: each finds the system at rest.
_PAUSE_S = 0.005


def serve(app):
    one = app.one
    burst = getattr(app, "burst", None) or one_by_one(one)
    print("ready", flush=True)
    for line in sys.stdin:
        what, kind, count = line.split()
        if what == "singly":
            answer = [timed(one, kind) for _ in range(int(count))]
        else:
            begun = time.time()
            (burst if what == "burst" else one_by_one(one))(kind, int(count))
            answer = [begun, time.time()]
        print(json.dumps(answer), flush=True)


def timed(one, kind):
    time.sleep(_PAUSE_S)
    begun = time.perf_counter()
    one(kind)
    return time.perf_counter() - begun


def one_by_one(one):
    def burst(kind, count):
        for _ in range(count):
            one(kind)

    return burst


if __name__ == "__main__":
    serve(import_module(sys.argv[1]))
