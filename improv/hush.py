"""Keeps the chatter of native libraries off the musician's terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Send the process's standard error nowhere for a moment: libraries in C write to it directly."""
    try:
        saved = os.dup(2)
    except OSError:  # there is no standard error to keep quiet
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
