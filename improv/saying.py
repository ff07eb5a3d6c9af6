"""What is said on standard output, whoever reads it."""

from __future__ import annotations

import os
import sys


def say(line: str) -> None:
    """A line, at once. A reader that has gone, as one at the end of a pipe at Ctrl-C, and a full disk stop nothing."""
    try:
        print(line, flush=True)  # where there is no standard output nothing happens
    except OSError:
        # What could not be written is still kept, and would be tried again at the exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
