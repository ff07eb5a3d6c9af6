"""A file is there whole: as it was, or as it is now."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Beside its place, under a name of its own, and moved there. Raises OSError, and leaves nothing then."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    file = partial.open("xb")  # what has that name is somebody else's
    try:
        with file:
            file.write(data)
        if path.exists():
            shutil.copymode(path, partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
