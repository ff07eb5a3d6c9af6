"""The program's own modules as processes of their own."""

from __future__ import annotations

import signal
import sys

# `python -m` looks in the folder it is started in first: a stray json.py there would be run.
_PROGRAM = (
    "import sys; sys.path[:] = [place for place in sys.path if place]; "
    "import runpy; runpy.run_module('{}', run_name='__main__', alter_sys=True)"
)


def command(module: str, *arguments: str) -> list[str]:
    """What starts a module, from wherever the musician is."""
    return [sys.executable, "-c", _PROGRAM.format(module), *arguments]


def leave_signals_to_the_parent() -> None:
    """Ctrl-C and its like, or a closing terminal, reach the whole group: the parent decides, its children follow."""
    for name in ("SIGINT", "SIGQUIT", "SIGTSTP", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
