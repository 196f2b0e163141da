"""The environment in which the peers of all benchmarks are installed, apart from ours."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".bench" / "peers"
_MARK = PEERS / ".installed"


def peers() -> Path:
    """Return the directory of the peers' programs; installs them, pinned, where that was not done yet."""
    wanted = (ROOT / "requirements" / "peers.txt").read_text(encoding="utf-8")
    if not _MARK.exists() or _MARK.read_text(encoding="utf-8") != wanted:
        print("Installing the peers for the comparison …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        pip = [str(PEERS / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "-r", str(ROOT / "requirements" / "peers.txt")], check=True, stdout=sys.stderr)
        _MARK.write_text(wanted, encoding="utf-8")
    return PEERS / "bin"
