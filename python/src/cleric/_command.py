"""Which program decodes: the command ``cleric`` of the npm package, run by Node.js."""

from __future__ import annotations

import os
import shutil

from .errors import ProcessError

_ENTRY = os.path.join("dist", "cli", "start.cjs")
_HOW = "install it (https://nodejs.org), or name it by the variable CLERIC_NODE or cleric.configure(node=...)"


def command(home: str | None = None, node: str | None = None) -> list[str]:
    """The command line to start.

    :param home: folder of the npm package, or one where it is installed; default: the variable CLERIC_HOME, else the
        command ``cleric`` on the PATH
    :param node: path of Node.js; default: the variable CLERIC_NODE, else ``node`` on the PATH
    :raises ProcessError: ERR_CLERIC_MISSING, ERR_NODE_MISSING
    """
    home = home or os.environ.get("CLERIC_HOME")
    entry = _entry_below(home) if home else shutil.which("cleric")
    if entry is None:
        raise ProcessError(
            "ERR_CLERIC_MISSING",
            "There is no command `cleric` on the PATH: install the npm package, or name its folder by the variable "
            "CLERIC_HOME or cleric.configure(home=...)",
        )
    entry = os.path.realpath(entry)
    if not entry.endswith((".js", ".cjs")):
        return [entry]
    return [_node(node or os.environ.get("CLERIC_NODE")), entry]


def _entry_below(home: str) -> str:
    for folder in (home, os.path.join(home, "node_modules", "cleric")):
        if os.path.isfile(os.path.join(folder, _ENTRY)):
            return os.path.join(folder, _ENTRY)
    raise ProcessError(
        "ERR_CLERIC_MISSING",
        f"{home} is no folder of the npm package cleric, nor is it installed there: neither it nor its "
        f"node_modules/cleric has {_ENTRY} (in a clone, scripts/setup makes it)",
    )


def _node(name: str | None) -> str:
    found = shutil.which(name or "node")
    if found is None:
        raise ProcessError(
            "ERR_NODE_MISSING", f"There is no Node.js: {name or 'node'} is no program on the PATH; {_HOW}"
        )
    return found
