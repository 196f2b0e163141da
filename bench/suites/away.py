"""A database, or RabbitMQ, away for ten minutes under load: away_database.py and away_rabbitmq.py say what is done.

    bench/away --what postgresql|mariadb|rabbitmq [--quick] [--away-s S] [--out FILE]

The last line is JSON. It fails where a job is lost, doubled, unsettled or miscounted, where an attempt was burnt, and
at whatever else the checker of histories finds.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import away_database
import away_rabbitmq

#: Counts, and under "failures" the lines of what the checker of histories found, whatever it was.
_MUST_BE_ZERO = (
    "attempts_burnt",
    "ran_twice",
    "doubled",
    "lost",
    "unsettled",
    "miscounted",
    "enqueue_errors",
    "copies_missing",
    "failures",
)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=["postgresql", "mariadb", "rabbitmq"], required=True)
    parser.add_argument("--quick", action="store_true", help="10 s away in place of ten minutes")
    parser.add_argument("--away-s", type=float, default=600.0)
    parser.add_argument("--out", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("away: run it as root: servers run as their own users")
    away_s = 10.0 if given.quick else given.away_s
    load = os.getloadavg()[0]
    if given.what == "rabbitmq":
        figures = away_rabbitmq.measure(away_s, 4.0 if given.quick else 30.0)
    else:
        figures = away_database.measure(given.what, away_s, 200 if given.quick else 2000)
    figures["load_before"] = round(load, 2)
    for line in figures.get("failures", [])[:50]:
        print("FAILURE", line)
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps({name: value for name, value in figures.items() if name != "failures"}))
    return 1 if any(figures.get(name) for name in _MUST_BE_ZERO) else 0


if __name__ == "__main__":
    sys.exit(main())
