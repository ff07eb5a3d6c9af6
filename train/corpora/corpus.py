"""A corpus to compact arrays: one `.npz`, pieces one after the other, and a list of what was dropped."""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from improv.errors import BadInput
from improv.net import codec
from train.corpora import archives, shards, splits

Manifest = dict[str, dict[str, str]]  # path -> row

PARTS = ("train", "validation", "test")

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


class Report(NamedTuple):
    """What became of a corpus; the speed is that of this run."""

    name: str
    kept: int
    notes: int
    hours: float  # of music
    unlisted: int  # of the kept, those whose split no manifest gives
    dropped: list[tuple[str, str, str]]  # file, kind, reason
    files_a_second: float
    notes_a_second: float

    def __str__(self) -> str:
        """For the screen: one line a corpus, and one more for what was dropped."""
        kinds = Counter(kind for _, kind, _ in self.dropped)
        said = ", ".join([f"{self.kept} kept", *(f"{count} {kind}" for kind, count in kinds.most_common())])
        lines = [f"{self.name}: {said}; {self.files_a_second:,.0f} files/s, {self.notes_a_second:,.0f} notes/s"]
        if self.kept:
            by_name = f"; {self.unlisted} split by a hash of the composition" if self.unlisted else ""
            lines.append(f"  {self.notes:,} notes, {self.hours:.1f} hours{by_name}")
        if self.dropped:
            lines.append(f"  what was dropped, and why: {self.name}.dropped.csv")
        return "\n".join(lines)


def check(corpora: Sequence[Path]) -> None:
    """Refuse what cannot be prepared before any is."""
    named: dict[str, Path] = {}
    for corpus in corpora:
        if not corpus.exists():
            raise BadInput(f"{corpus}: there is no such archive or folder")
        other = named.setdefault(archives.name_of(corpus), corpus)
        if other is not corpus:
            raise BadInput(f"{corpus}: {other} has the same name; rename one, or give it an --out of its own")


def prepare(corpus: Path, out: Path, manifest: Manifest, jobs: int) -> Report:
    """Write `out`/CORPUS.npz and `out`/CORPUS.dropped.csv; what a stopped run had done is not done again."""
    name = archives.name_of(corpus)
    parts = out / f"{name}.parts"
    began = time.perf_counter()
    try:
        done = _prepared(corpus, parts, jobs)
    except BrokenExecutor:
        raise BadInput(f"{corpus}: a process was killed, likely for want of memory; go on with fewer --jobs") from None
    took = max(time.perf_counter() - began, 1e-3)
    paths = sorted(part.path for part in done)
    found = [shards.entries(path) for path in paths]
    if not any(found):
        raise BadInput(f"{corpus}: no MIDI files in it; give {archives.KINDS} that holds some")
    found = _without_duplicates(found)
    kept = [entry for shard in found for entry in shard if not entry.problem]
    joined = parts / f"joined.{os.getpid()}.npz"
    if kept:
        about = _about(name, kept, manifest)
        shards.join(paths, [[not entry.problem for entry in shard] for shard in found], joined, about)
    dropped = [(entry.name, entry.kind, entry.problem) for shard in found for entry in shard if entry.problem]
    if dropped:
        _save_dropped(out / f"{name}.dropped.csv", dropped)
    if kept:
        os.replace(joined, out / f"{name}.npz")  # there whole or not at all
    shutil.rmtree(parts)
    return Report(
        name,
        len(kept),
        sum(entry.notes for entry in kept),
        sum(entry.seconds for entry in kept) / 3600,
        sum(not manifest.get(entry.name, {}).get("split") for entry in kept),
        dropped,
        sum(part.files for part in done) / took,
        sum(part.notes for part in done) / took,
    )


def _prepared(corpus: Path, parts: Path, jobs: int) -> list[shards.Done]:
    done: list[shards.Done] = []
    bar = Progress(
        TextColumn("{task.description:20}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[files]} files"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,  # which would take a thread, and threads do not go with forks
    )
    with bar, closing(shards.prepared(shards.cut(archives.members(corpus)), parts, jobs)) as coming:
        task = bar.add_task(archives.name_of(corpus), total=1.0, files=0)
        for part in coming:
            done.append(part)
            place, files = max(one.place for one in done), sum(one.files for one in done)
            bar.update(task, completed=place, files=files, refresh=True)
        bar.update(task, completed=1.0, refresh=True)
    return done


def _without_duplicates(found: list[list[shards.Entry]]) -> list[list[shards.Entry]]:
    """The first of several stays; the others get a problem."""
    by_bytes: dict[str, str] = {}
    by_notes: dict[str, str] = {}
    return [[_judged(entry, by_bytes, by_notes) for entry in shard] for shard in found]


def _judged(entry: shards.Entry, by_bytes: dict[str, str], by_notes: dict[str, str]) -> shards.Entry:
    if entry.problem:
        return entry
    for what, key, seen in (("bytes", entry.same_bytes, by_bytes), ("notes", entry.same_notes, by_notes)):
        if key in seen:
            return entry._replace(problem=f"the same {what} as {seen[key]}", kind="duplicate")
    by_bytes[entry.same_bytes] = by_notes[entry.same_notes] = entry.name
    return entry


def _about(corpus: str, kept: Sequence[shards.Entry], manifest: Manifest) -> dict[str, np.ndarray]:
    """One row a piece, besides the tokens."""
    rows = [manifest.get(entry.name, {}) for entry in kept]
    hashed = splits.splits([entry.name for entry in kept])
    split = [row.get("split") or own for row, own in zip(rows, hashed, strict=True)]
    styles = [STYLE_OF_GENRE.get(row.get("genre", ""), "unknown") for row in rows]
    return {
        "length": np.array([entry.length for entry in kept]),
        "notes": np.array([entry.notes for entry in kept]),
        "seconds": np.array([entry.seconds for entry in kept]),
        "name": np.array([entry.name for entry in kept]),
        "corpus": np.array(corpus),
        "split": np.array(split),
        "split_free": np.array([row.get("split_free") or s for row, s in zip(rows, split, strict=True)]),
        "style": np.array([codec.STYLES.index(style) for style in styles]),
        "tier": np.array([row.get("tier") or "own" for row in rows]),
        "licence": np.array([row.get("licence") or "unstated" for row in rows]),
        "fingerprint": np.array(codec.FINGERPRINT),
    }


def _save_dropped(path: Path, dropped: Sequence[tuple[str, str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("path", "kind", "reason"))
        writer.writerows(dropped)


def read_manifest(corpora: Sequence[Path]) -> Manifest:
    """`manifest.csv` beside or inside each corpus."""
    manifest: Manifest = {}
    for folder in {place for corpus in corpora for place in (corpus, corpus.parent)}:
        file = folder / "manifest.csv"
        if not file.is_file():
            continue
        try:
            with open(file, newline="", encoding="utf-8-sig") as lines:
                rows = list(csv.DictReader(lines))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise BadInput(f"{file}: it cannot be read ({error}); mend it or move it away") from None
        for number, row in enumerate(rows, 2):
            if not row.get("path"):
                raise BadInput(f"{file}, line {number}: no path; the first line must name a column path")
            for column in ("split", "split_free"):
                if row.get(column) and row[column] not in PARTS:
                    raise BadInput(f"{file}, line {number}: {column} is {row[column]!r}; give {', '.join(PARTS)}")
        manifest.update((row["path"], row) for row in rows)
    return manifest
