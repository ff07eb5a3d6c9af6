"""A file is there whole: as it was, or as it is now."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Beside its place, under a name of its own, and moved there. Raises OSError, and leaves nothing then."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    file = partial.open("xb")  # what has that name is somebody else's
    with contextlib.ExitStack() as undone:
        undone.callback(partial.unlink)
        with file:
            file.write(data)
        if path.exists():
            shutil.copymode(path, partial)
        os.replace(partial, path)
        undone.pop_all()
