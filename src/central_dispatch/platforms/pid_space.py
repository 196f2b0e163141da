"""Where a process number means the same process: a machine, or one container of it."""

import socket
from contextlib import suppress
from pathlib import Path

#: The kernel's own number of the namespace in which a machine starts; containers have others.
_OF_THE_MACHINE = "pid:[4026531836]"


def pid_space(root: Path = Path("/")) -> str:
    """Return a word that no other machine and no other container has, 255 characters at most. `root`: of the files.

    A hostname alone is not enough: containers, and machines made from one image, may share it. A machine keeps its word
    over a restart; a container that is started again may get another.
    """
    namespace = ""
    with suppress(OSError):
        namespace = str((root / "proc/self/ns/pid").readlink())
    # A container may have its image's machine-id, or none: but nobody has another kernel's number of its start.
    is_machine = namespace in {"", _OF_THE_MACHINE}
    identity = root / ("etc/machine-id" if is_machine else "proc/sys/kernel/random/boot_id")
    number = ""
    with suppress(OSError, UnicodeDecodeError):
        number = identity.read_text(encoding="ascii").strip()
    return " ".join(filter(None, (socket.gethostname(), number, "" if is_machine else namespace)))[:255]
