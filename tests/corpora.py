"""Small made-up corpora, for tests of training."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import mido
import numpy as np

from train.corpora import archives, prepare
from train.corpora.pieces import Piece, packed_held

PARTS = ("train", "train", "train", "validation", "test")


def midi(seed: int, notes: int, tempo: int = 500_000) -> bytes:
    """A tune over a bass that repeats itself with small changes, on a grid of eighths."""
    rng = np.random.default_rng(seed)
    scale = 60 + np.array((0, 2, 4, 5, 7, 9, 11, 12))
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)])
    file.tracks.append(track)
    events = []
    for i in range(notes // 2):
        pitch = int(scale[(i + int(rng.integers(0, 2))) % 8])
        velocity = int(40 + 8 * (i % 4) + rng.integers(0, 8))
        for note, length in ((pitch, 240), (pitch - 24 - 12 * (i % 2), 180)):
            events += [(i * 240, 1, note, velocity), (i * 240 + length, 0, note, 0)]
    now = 0
    for tick, on, note, velocity in sorted(events):
        track.append(mido.Message("note_on" if on else "note_off", note=note, velocity=velocity, time=tick - now))
        now = tick
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def piece(seed: int, notes: int, corpus: str = "own") -> Piece:
    found = prepare.prepare_file(f"{corpus}/{seed}.mid", midi(seed, notes))
    held = packed_held(found.tokens["what"])
    return Piece(corpus, found.name, found.tokens, held, seed % 3, found.notes, found.seconds)


def prepared(folder: Path, files: int = 10, notes: int = 60) -> Path:
    """Write a corpus `tunes` with its manifest, and prepare it as a user does; gives the folder of arrays."""
    corpus = folder / "tunes"
    corpus.mkdir()
    with open(corpus / "manifest.csv", "w", newline="") as lines:
        writer = csv.DictWriter(lines, ("path", "genre", "split", "split_free", "licence", "tier"))
        writer.writeheader()
        for i in range(files):
            part = PARTS[i % len(PARTS)]
            (corpus / f"{i}.mid").write_bytes(midi(i, notes + 2 * i))
            row = {"genre": "pop", "split": part, "split_free": part, "licence": "CC0 1.0", "tier": "permissive"}
            writer.writerow({"path": f"tunes/{i}.mid", **row})
    (corpus / "broken.mid").write_bytes(b"MThd")
    improv_train("prepare", str(corpus), "--out", str(folder / "data"), "--jobs", "1")
    return folder / "data"


def improv_train(*arguments: str, status: int = 0) -> str:
    """Run the command line in a process of its own; gives what it printed, errors first."""
    done = subprocess.run(
        [sys.executable, "-m", "train", *arguments], capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    assert done.returncode == status, done.stderr + done.stdout
    return done.stderr + done.stdout


def members(corpus: Path) -> list[tuple[str, bytes]]:
    """Name and contents of every MIDI file of a folder or an archive."""
    return [(member.name, member.data) for member in archives.members(corpus) if not member.problem]
