"""Files of arrays (`.npz`), read with care and written whole."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np


class Damaged(ValueError):
    """A file that is no archive of arrays, or a torn one."""


def read(path: Path, most: float = math.inf) -> dict[str, np.ndarray]:
    """Every array by name, of at most so many bytes.

    Raises `Damaged`, and OSError where there is no file or it may not be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > most:
                raise Damaged(f"{path}: it holds more than {most / 1e6:.0f} MB")
            return {name.removesuffix(".npy"): _array(archive, name) for name in archive.namelist()}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise Damaged(f"{path}: {error}") from None
    except MemoryError:  # its header says that it is larger than it can be
        raise Damaged(f"{path}: too large") from None


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def write(path: Path, **arrays: np.ndarray) -> None:
    """The file is there whole, as it was or as it is now."""
    partial = path.with_suffix(f".{os.getpid()}.partial.npz")
    try:
        np.savez(partial, **arrays)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
