"""The MIDI files of a corpus: a folder, or an archive that is read from front to back and never unpacked."""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from improv.errors import BadInput
from improv.midi import smf

MIDI = (".mid", ".midi")
TARS = (".tar.xz", ".tar.gz", ".tar.bz2", ".txz", ".tgz", ".tar")
KINDS = "a folder, .tar.xz, .tar.gz, .tar.bz2, .tar or .zip"
# What the standard library says of an archive that is cut short, damaged, or none.
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, NotImplementedError)


class Member(NamedTuple):
    """One MIDI file; `problem` says why it has no data. No more is read of it than shows that it is too large."""

    name: str
    data: bytes
    place: float  # how much of the corpus is read when this is: 0 to 1
    problem: str = ""


def name_of(corpus: Path) -> str:
    """Without the ending of an archive."""
    name = Path(os.path.abspath(corpus)).name  # `.` and `music/..` have a name too
    return next((name.removesuffix(end) for end in (*TARS, ".zip") if name.endswith(end)), name)


def members(corpus: Path) -> Iterator[Member]:
    """In the same order every time. Hidden files are left out: macOS puts one beside each file, of the same name."""
    try:
        if corpus.is_dir():
            yield from _of_folder(corpus)
        elif corpus.name.endswith(".zip"):
            yield from _of_zip(corpus)
        else:
            yield from _of_tar(corpus)
    except _BROKEN:
        raise BadInput(f"{corpus}: cut short, damaged or no archive; fetch it again, or give {KINDS}") from None
    except OSError as error:
        raise BadInput(f"{error.filename or corpus}: it cannot be read ({error.strerror or error})") from None


def _of_folder(corpus: Path) -> Iterator[Member]:
    paths = []
    for folder, folders, names in os.walk(corpus, onerror=_raise):
        folders[:] = [name for name in folders if not _hidden(name)]
        paths += [Path(folder, name) for name in names if _is_midi(name)]
    paths.sort(key=lambda path: path.parts)
    for i, path in enumerate(paths, 1):
        name = _spelled(f"{name_of(corpus)}/{path.relative_to(corpus).as_posix()}")
        try:
            with open(path, "rb") as file:
                yield Member(name, file.read(smf.MAX_BYTES + 1), i / len(paths))
        except OSError as error:
            yield Member(name, b"", i / len(paths), f"it cannot be read: {error.strerror}")


def _of_tar(corpus: Path) -> Iterator[Member]:
    with open(corpus, "rb") as file, tarfile.open(fileobj=file) as archive:
        size = max(1, corpus.stat().st_size)
        while member := archive.next():
            if member.isfile() and _is_midi(member.name):
                contents = archive.extractfile(member)
                assert contents is not None  # a regular file always opens
                yield Member(_spelled(member.name), contents.read(smf.MAX_BYTES + 1), file.tell() / size)
            archive.members.clear()  # it would remember every header


def _of_zip(corpus: Path) -> Iterator[Member]:
    with zipfile.ZipFile(corpus) as archive:
        found = [info for info in archive.infolist() if not info.is_dir() and _is_midi(info.filename)]
        for i, info in enumerate(found, 1):
            if info.flag_bits & 1:
                yield Member(_spelled(info.filename), b"", i / len(found), "it cannot be read: it is encrypted")
                continue
            with archive.open(info) as contents:
                yield Member(_spelled(info.filename), contents.read(smf.MAX_BYTES + 1), i / len(found))


def _is_midi(name: str) -> bool:
    return name.lower().endswith(MIDI) and not any(map(_hidden, PurePosixPath(name).parts))


def _hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _spelled(name: str) -> str:
    """Without a leading `./`, and fit to be printed whatever its bytes were."""
    return str(PurePosixPath(name)).encode("utf-8", "replace").decode("utf-8")


def _raise(error: OSError) -> None:
    raise error
