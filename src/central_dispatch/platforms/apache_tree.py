"""What Apache's live tree has: its modules, and whether it includes a directory. Asked of Apache itself."""

import re
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from central_dispatch.platforms import commands
from central_dispatch.platforms.layouts import Layout
from central_dispatch.provisioning.problem import HostError, Problem

_MODULE = re.compile(r"^\s*(\w+_module) \((?:static|shared)\)$", re.MULTILINE)
_INCLUDED = re.compile(r"^\s*\((?:\*|\d+)\) (/.+)$", re.MULTILINE)
_INCLUDE = re.compile(r'^\s*Include(?:Optional)?\s+"?([^"\n]+?)"?\s*$', re.MULTILINE | re.IGNORECASE)
_ROOT = re.compile(r'^\s*ServerRoot\s+"?([^"\n]+?)"?\s*$', re.MULTILINE | re.IGNORECASE)
# A name that no administrator gives a file: it stands for whatever we will write.
_ANY = "central-dispatch-any"


def loaded_modules(layout: Layout) -> frozenset[str]:
    """Return the modules that Apache loads, such as `ssl_module`; `HostError` for a tree that does not parse."""
    return frozenset(_MODULE.findall(_said(layout, ["-M"])))


def includes(layout: Layout, directory: str) -> bool:
    """Say whether a file with the layout's suffix in that directory is part of the live tree."""
    # The directory may be empty, so what Apache has read says nothing of it: its Include lines do.
    files = [Path(path) for path in _INCLUDED.findall(_said(layout, ["-t", "-D", "DUMP_INCLUDES"]))]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    if not files:
        return False
    named = [PurePosixPath(root) for text in texts for root in _ROOT.findall(text)]
    root = named[0] if named else PurePosixPath(files[0].parent)
    wanted = f"{directory}/{_ANY}{layout.vhost_suffix}"
    return any(fnmatchcase(wanted, str(root / pattern)) for text in texts for pattern in _INCLUDE.findall(text))


def _said(layout: Layout, options: list[str]) -> str:
    ended = commands.run([*layout.web_argv, *options])
    if ended.code:
        raise HostError(
            Problem("Apache's configuration is broken", ended.said, "Correct the file that it names.", "worker")
        )
    return ended.out
