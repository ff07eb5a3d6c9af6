"""A corpus in small parts, each prepared and written by one process: a run that is killed loses the parts in hand."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import parent_process
from pathlib import Path
from typing import NamedTuple

import numpy as np

from improv.net import codec
from train.corpora import prepare
from train.corpora.archives import Member

FILES = 64
BYTES = 2 * 1024 * 1024  # a shard is full when it has as many files, or as much


class Done(NamedTuple):
    """A shard that is on disk, and what was done for it now: nothing, if a run before this one wrote it."""

    path: Path
    place: float  # how much of the corpus was read when this was cut off
    files: int
    notes: int


def cut(members: Iterable[Member]) -> Iterator[list[Member]]:
    shard: list[Member] = []
    size = 0
    for member in members:
        shard.append(member)
        size += len(member.data)
        if len(shard) == FILES or size >= BYTES:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def prepared(shards: Iterable[list[Member]], folder: Path, jobs: int) -> Iterator[Done]:
    """Every shard, as it comes ready; no more of the corpus is in memory than the processes are at work on."""
    places = ((_path(folder, i, shard), shard) for i, shard in enumerate(shards))
    if jobs == 1:
        for path, shard in places:
            yield _prepare(path, shard)
        return
    with ProcessPoolExecutor(jobs, initializer=_end_with_the_parent) as pool:
        try:
            running: set[Future[Done]] = set()
            for path, shard in places:
                running.add(pool.submit(_prepare, path, shard))
                while len(running) >= 2 * jobs:
                    ready, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in ready)
            for future in running:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _path(folder: Path, number: int, shard: Sequence[Member]) -> Path:
    """Named by what goes into it, so that a shard of a corpus that has changed is not mistaken for this one."""
    digest = hashlib.sha1(codec.FINGERPRINT.encode())
    for member in shard:
        digest.update(f"{member.name}\n{member.problem}\n{len(member.data)}\n".encode())
        digest.update(member.data)
    return folder / f"{number:06d}-{digest.hexdigest()[:16]}.npz"


def _end_with_the_parent() -> None:
    """Ctrl-C is the parent's to hear; when it is killed, none of its processes stays behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        parent = parent_process()
        assert parent is not None  # this runs in a child
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _prepare(path: Path, shard: Sequence[Member]) -> Done:
    if path.exists():
        return Done(path, shard[-1].place, 0, 0)
    gc.disable()  # nothing here makes cycles, and looking for them takes a third of the time
    try:
        pieces = [_piece(member) for member in shard]
    finally:
        gc.enable()
    _save(path, pieces, [hashlib.sha1(member.data).hexdigest() for member in shard])
    return Done(path, shard[-1].place, len(pieces), sum(piece.notes for piece in pieces))


def _piece(member: Member) -> prepare.Piece:
    if member.problem:
        return prepare.dropped(member.name, member.problem, "unreadable")
    return prepare.prepare_file(member.name, member.data)


def _save(path: Path, pieces: Sequence[prepare.Piece], same_bytes: Sequence[str]) -> None:
    kept = [piece.tokens for piece in pieces if piece.tokens]
    arrays = {
        column: np.concatenate([np.empty(0, dtype), *(tokens[column] for tokens in kept)])
        for column, dtype in prepare.COLUMNS.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with open(partial, "wb") as file:
        np.savez(
            file,
            **arrays,
            name=np.array([piece.name for piece in pieces]),
            problem=np.array([piece.problem for piece in pieces]),
            kind=np.array([piece.kind for piece in pieces]),
            length=np.array([len(piece.tokens["dt"]) if piece.tokens else 0 for piece in pieces]),
            notes=np.array([piece.notes for piece in pieces]),
            seconds=np.array([piece.seconds for piece in pieces]),
            same_bytes=np.array(same_bytes),
            same_notes=np.array([_digest(piece) for piece in pieces]),
        )
    os.replace(partial, path)


def _digest(piece: prepare.Piece) -> str:
    """Of the notes, whatever the beat is."""
    columns = [piece.tokens[column].tobytes() for column in ("dt", "what", "velocity") if piece.tokens]
    return hashlib.sha1(b"".join(columns)).hexdigest()


class Entry(NamedTuple):
    """A file of a shard."""

    name: str
    problem: str
    kind: str
    length: int
    notes: int
    seconds: float
    same_bytes: str
    same_notes: str


def entries(path: Path) -> list[Entry]:
    with np.load(path) as shard:
        return [Entry(*row) for row in zip(*(shard[field].tolist() for field in Entry._fields), strict=True)]


def join(paths: Sequence[Path], kept: Sequence[Sequence[bool]], out: Path, about: Mapping[str, np.ndarray]) -> None:
    """One file of the tokens of all pieces that are kept, and of `about`, as `np.savez_compressed` would write it.

    Column by column and shard by shard, so that a corpus may be larger than the memory.
    """
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for column, dtype in prepare.COLUMNS.items():
            header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (int(about["length"].sum()),)}
            with archive.open(f"{column}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, header)
                for path, keep in zip(paths, kept, strict=True):
                    with np.load(path) as shard:
                        file.write(shard[column][np.repeat(keep, shard["length"])].tobytes())
        for name, array in about.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
