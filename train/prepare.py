"""Corpora to compact arrays: one `.npz` a corpus, one row a token, pieces one after the other."""

from __future__ import annotations

import csv
import hashlib
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

from improv.midi import files
from improv.music.damper import Damper
from improv.music.events import NoteOn
from improv.music.timeline import Timeline
from improv.net import codec

MIN_NOTES = 16
FLAT_STD = 2.0  # velocities that vary less than this say nothing

# The manifest's `genre`, or what a folder without one counts as, to a style of the network.
STYLE_OF_GENRE = {
    "classical": "classical",
    "classical/roll": "classical",
    "art song (piano part)": "song",
    "chorale (machine-made)": "chorale",
    "pop": "pop",
    "ragtime": "ragtime",
    "jazz solo (monophonic)": "jazz",
}


class Piece(NamedTuple):
    """One file: a row a token, the columns as in `COLUMNS`; `problem` says why there are none."""

    name: str
    tokens: dict[str, np.ndarray]
    notes: int
    seconds: float
    metric: bool
    problem: str = ""


# `bar` is the position in the bar (0 to 1) and `tempo` octaves above 120 bpm; both NaN without a beat.
COLUMNS = {
    "dt": np.uint16,
    "what": np.uint8,
    "velocity": np.uint8,
    "phase": np.uint8,
    "bar": np.float16,
    "tempo": np.float16,
}


def tokens_of(score: files.Score) -> tuple[list[codec.Token], list[Timeline]]:
    """The tokens of a score, and the timeline each was counted on: the path a live player's notes take."""
    damper, quantiser = Damper(), codec.Quantiser()
    lines = iter(score.timelines)
    line, coming = next(lines), next(lines, None)
    tokens: list[codec.Token] = []
    at: list[Timeline] = []
    for event in score.events:
        while coming and coming.origin_ns <= event.time_ns:
            line, coming = coming, next(lines, None)
        for sounding in damper.hear(event):
            closed = quantiser.add(line.tick(event.time_ns), sounding)
            tokens += closed
            at += [line] * len(closed)
    rest = quantiser.close(2**62)
    return tokens + rest, at + [line] * len(rest)


def prepare_file(name: str, data: bytes) -> Piece:
    """Runs in a worker process."""
    try:
        score = files.read(data)
    except files.BadMidi as error:
        return Piece(name, {}, 0, 0.0, False, str(error))
    tokens, lines = tokens_of(score)
    velocities = [e.velocity for e in score.events if isinstance(e, NoteOn)]
    if len(velocities) < MIN_NOTES:
        return Piece(name, {}, 0, 0.0, False, "too short")
    flat = float(np.std(velocities)) < FLAT_STD
    ticks = np.array([t.tick for t in tokens])
    rows = {
        "dt": np.minimum(np.diff(ticks, prepend=ticks[0]), codec.DT_LIMIT - 1),
        "what": [t.what for t in tokens],
        "velocity": [codec.NO_VELOCITY if flat else t.velocity for t in tokens],
        "phase": [codec.phase(line, t.tick) for t, line in zip(tokens, lines, strict=True)],
        "bar": [line.bar_position(t.tick) if score.metric else np.nan for t, line in zip(tokens, lines, strict=True)],
        "tempo": [np.log2(line.bpm / 120) if score.metric else np.nan for line in lines],
    }
    arrays = {column: np.asarray(rows[column], dtype) for column, dtype in COLUMNS.items()}
    return Piece(name, arrays, sum(t.what < codec.OFF for t in tokens), score.end_ns / 1e9, score.metric)


def members(corpus: Path) -> Iterator[tuple[str, bytes]]:
    """Every MIDI file of a folder or a tar archive, in a fixed order."""
    if corpus.is_dir():
        for path in sorted(corpus.rglob("*")):
            if path.suffix.lower() in (".mid", ".midi"):
                yield f"{corpus.name}/{path.relative_to(corpus)}", path.read_bytes()
        return
    with tarfile.open(corpus) as archive:
        for member in archive:
            if member.isfile() and member.name.lower().endswith((".mid", ".midi")):
                file = archive.extractfile(member)
                assert file is not None  # a regular file always opens
                yield member.name, file.read()


def hashed_split(name: str) -> str:
    """Where no manifest knows a file: 80 / 10 / 10 by its name, the same on every machine."""
    bucket = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10
    return {8: "validation", 9: "test"}.get(bucket, "train")


def prepare(corpus: Path, out: Path, manifest: dict[str, dict[str, str]], jobs: int) -> Counter[str]:
    """Write `out`/CORPUS.npz; give the count of files by what became of them."""
    name = corpus.name.removesuffix(".tar.xz")
    found = list(members(corpus))
    pieces: list[Piece] = []
    report: Counter[str] = Counter()
    seen: set[str] = set()
    fresh = []
    for file_name, data in found:
        digest = hashlib.sha1(data).hexdigest()
        if digest in seen:
            report["duplicate"] += 1
        else:
            seen.add(digest)
            fresh.append((file_name, data))
    with ProcessPoolExecutor(jobs) as pool:
        results = pool.map(prepare_file, *zip(*fresh, strict=True), chunksize=8) if fresh else iter(())
        for piece in track(results, f"{name:20}", total=len(fresh)):
            report[piece.problem or "kept"] += 1
            if not piece.problem:
                pieces.append(piece)
    if pieces:
        _save(out / f"{name}.npz", name, pieces, manifest)
    return report


def _save(path: Path, corpus: str, pieces: list[Piece], manifest: dict[str, dict[str, str]]) -> None:
    rows = [manifest.get(piece.name, {}) for piece in pieces]
    split = [row.get("split") or hashed_split(p.name) for row, p in zip(rows, pieces, strict=True)]
    styles = [STYLE_OF_GENRE.get(row.get("genre", ""), "unknown") for row in rows]
    arrays = {column: np.concatenate([p.tokens[column] for p in pieces]) for column in COLUMNS}
    partial = path.with_name(path.stem + ".partial.npz")
    np.savez_compressed(
        partial,
        **arrays,
        length=np.array([len(p.tokens["dt"]) for p in pieces]),
        notes=np.array([p.notes for p in pieces]),
        seconds=np.array([p.seconds for p in pieces]),
        name=np.array([p.name for p in pieces]),
        corpus=np.array(corpus),
        split=np.array(split),
        split_free=np.array([row.get("split_free") or s for row, s in zip(rows, split, strict=True)]),
        style=np.array([codec.STYLES.index(style) for style in styles]),
        tier=np.array([row.get("tier") or "own" for row in rows]),
        licence=np.array([row.get("licence") or "unstated" for row in rows]),
        fingerprint=np.array(codec.FINGERPRINT),
    )
    os.replace(partial, path)  # a corpus is there whole or not at all, so a killed run can be resumed


def read_manifest(corpora: list[Path]) -> dict[str, dict[str, str]]:
    """`manifest.csv` beside or inside each corpus: path -> row."""
    manifest: dict[str, dict[str, str]] = {}
    for folder in {place for corpus in corpora for place in (corpus, corpus.parent)}:
        file = folder / "manifest.csv"
        if file.is_file():
            with open(file, newline="") as lines:
                manifest.update((row["path"], row) for row in csv.DictReader(lines))
    return manifest
