"""WordPress deployments beside a bare shell script and an ansible-core playbook that do the same work.

All three make the same things on the same sandbox in turn: user, database, code, configuration, WordPress's
own installation, PHP-FPM, virtual host, reload, a page over HTTPS, crontab, files durable. Only ours also
journals each step, tests the virtual host beside the live tree, and can go back. Every deployment is taken
away again before the next; the disk is synced before each is timed.

`--place /dev/shm` puts the sandbox into memory, to tell the disk's part from ours; the default is the disk.

    bench/deploy [--quick] [--rounds N] [--place DIR] [--out FILE]

The last line is JSON: median_s, script_s, playbook_s (medians), ours_over_script, playbook_over_ours.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from central_dispatch.platforms import sandbox as sandboxes
from central_dispatch.platforms.facts import find_php, find_php_fpm
from central_dispatch.platforms.sandbox import Sandbox
from peers import ROOT
from peers import peers as installed_peers
from servers.host_rig import WORDPRESS, HostRig, add_source

PEERS = ROOT / "bench" / "peers"
RELEASE = "6.1.9"


def places(box: Sandbox, root_cnf: Path) -> dict[str, str]:
    """Return what both peers are told of the sandbox."""
    layout = box.layout
    return {
        "install_path": layout.install_path,
        "release": RELEASE,
        "root_cnf": str(root_cnf),
        "db_socket": box.database.socket,
        "source": str(box.sources_directory / "wordpress" / "releases" / RELEASE),
        "install": str(box.sources_directory / "wordpress" / "install.php"),
        "https_port": str(layout.https_port),
        "php": find_php(layout),
        "php_fpm": find_php_fpm(layout),
        "runtime": layout.runtime_directory,
        "pools": str(box.directory / "pools"),
        "vhosts": layout.vhost_directory,
        "enabled": layout.vhost_enabled,
        "certificate": str(box.certificate),
        "key": str(box.key),
        "ca": str(box.ca),
        "web_server": " ".join(layout.web_argv),
    }


class Peers:
    """The three ways, and how each one's deployment is taken away again."""

    def __init__(self, box: Sandbox) -> None:
        self.box, self.rig, self.number = box, HostRig(box), 0
        root_cnf = box.directory / "state" / "root.cnf"
        root_cnf.write_text(f"[client]\nuser={box.database.user}\npassword={box.database.password}\n")
        root_cnf.chmod(0o600)
        self.places = places(box, root_cnf)

    def _names(self) -> dict[str, str]:
        self.number += 1
        name = f"wp{self.number}"
        return {"name": name, "database": name, "hostname": f"{name}.{self.box.domain}"}

    def ours(self) -> float:
        """Deploy as the host worker does: plan, secrets, journal, saga."""
        spec = self.rig.spec(self._names()["name"], "wordpress", RELEASE)
        took = timed(lambda: expect(self.rig.deploy(spec) == "committed"))
        expect(self.rig.delete(spec) == "committed")
        for archive in (self.box.directory / "archives").iterdir():
            self.rig.host.files.remove(str(archive))
        return took

    def script(self) -> float:
        """Run the shell script."""
        names = self._names()
        values = {**self.places, **names}
        environment = {key.upper(): value for key, value in values.items()} | {"HOSTNAME_": names["hostname"]}
        environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
        took = timed(lambda: run([str(PEERS / "deploy.sh")], environment))
        self._away(names)
        return took

    def playbook(self) -> float:
        """Run the playbook."""
        names = self._names()
        values = {**self.places, **names, "runtime_path": self.places["runtime"]}
        del values["runtime"]
        argv = [
            str(installed_peers() / "ansible-playbook"),
            "-i",
            "localhost,",
            "-e",
            json.dumps(values),
            str(PEERS / "deploy.yml"),
        ]
        environment = {
            "PATH": f"{installed_peers()}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
        }
        took = timed(lambda: run(argv, environment))
        self._away(names)
        return took

    def _away(self, names: dict[str, str]) -> None:
        """Take a peer's deployment away by hand, as its user would have to."""
        name, files = names["name"], self.rig.host.files
        with suppress(OSError, ValueError):
            os.kill(int(Path(f"{self.places['runtime']}/{name}/fpm.pid").read_text()), signal.SIGKILL)
        for path in (
            f"{self.places['enabled']}/{name}.conf",
            f"{self.places['vhosts']}/{name}.conf",
            f"{self.places['pools']}/{name}.conf",
            f"{self.places['runtime']}/{name}",
        ):
            files.remove(path)
        self.rig.host.web.reload()
        self.rig.host.schedules.write(f"cd-{name}", "")
        self.rig.host.accounts.end_processes(f"cd-{name}")
        files.remove(f"{self.places['install_path']}/{name}")
        self.rig.host.databases.drop_user(names["database"])
        self.rig.host.databases.drop(names["database"])
        self.rig.host.accounts.delete(f"cd-{name}")


def expect(good: object) -> None:
    """Stop the benchmark where a deployment did not succeed."""
    if not good:
        raise SystemExit("deploy: a deployment failed; no figure counts")


def run(argv: list[str], environment: dict[str, str]) -> None:
    """Run a peer; its output is shown when it fails."""
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"deploy: {argv[0]} failed\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def timed(act: Callable[[], None]) -> float:
    """Return how many seconds `act` took, on a disk without earlier writes to finish."""
    os.sync()
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def measure(box: Sandbox, rounds: int, playbook_rounds: int) -> dict[str, list[float]]:
    """Run the three in turn; the first round warms caches and does not count."""
    peers, found = Peers(box), {"ours": [], "script": [], "playbook": []}
    installed_peers()
    peers.ours()
    peers.script()
    for number in range(rounds):
        found["ours"].append(peers.ours())
        found["script"].append(peers.script())
        if number < playbook_rounds:
            found["playbook"].append(peers.playbook())
        print({way: round(times[-1], 3) for way, times in found.items() if times}, flush=True)
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds, the playbook once")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--out", type=Path, help="also write every time to this file")
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="where the sandbox lies")
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("deploy: run it as root: it makes and removes real Unix users")
    rounds, playbooks = (3, 1) if given.quick else (given.rounds, max(1, given.rounds // 2))
    with tempfile.TemporaryDirectory(prefix="cd-deploy-", dir=given.place) as place:
        Path(place).chmod(0o711)
        box = sandboxes.create(f"{place}/box")
        try:
            box.start()
            add_source(box, "wordpress", RELEASE, WORDPRESS)
            found = measure(box, rounds, playbooks)
        finally:
            box.stop()
    ours, script, playbook = (median(found[way]) for way in ("ours", "script", "playbook"))
    figures = {
        "median_s": round(ours, 3),
        "script_s": round(script, 3),
        "playbook_s": round(playbook, 3),
        # Pair by pair, so that a slow moment of the machine weighs on both.
        "ours_over_script": round(median(a / b for a, b in zip(found["ours"], found["script"], strict=True)), 2),
        "playbook_over_ours": round(playbook / ours, 2),
        "rounds": rounds,
        "place": str(given.place),
    }
    if given.out:
        given.out.write_text(json.dumps({**figures, "times_s": found}, indent=1) + "\n")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
