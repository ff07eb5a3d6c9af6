"""How well a set of weights predicts held-out music, and the same in the units that others publish in.

388-event scheme (Performance RNN; Magenta's performance_with_dynamics): 128 note-ons, 128 note-offs, 100 time shifts
of 10 ms to 1 s, 32 velocities. How many such events a piece makes is counted from its tokens: a note-on and a note-off
each, a shift for each second begun of every silence between events, a velocity where it differs from the last one.
Nats are the same whatever they are divided by, but for the grid: a note has two times, each rounded to a
tick of 10.417 ms at 120 bpm, so on a grid of 10 ms it costs 2 ln(10.417 / 10) more.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from rich.console import Console
from rich.progress import Progress, track

from improv.errors import BadInput
from improv.net import codec
from improv.net.weights import Card
from train.corpora import archives, arrays, pieces, prepare
from train.corpora.pieces import TIERS, Piece, packed_held
from train.judge import baselines
from train.network import likelihood, model
from train.network.likelihood import ATTRIBUTES, PieceNats, Scored
from train.network.recipe import SPLITS

TICK_MS = 60_000 / 120 / 48  # at 120 bpm, as free playing is counted
TO_10MS = 2 * float(np.log(TICK_MS / 10))  # nats per note
SHIFT_MS = 1000  # the longest time shift of the 388-event scheme
LARGEST = 2**16  # of a shape's sizes
MOST_BYTES = 1 << 30  # of parameters; those that ship have 9 MB
SPLIT = "split_free"  # where a card names none
BASELINE_TOKENS = 6_000_000  # that the baselines learn from, at random if there are more: they take 500 bytes each


class Weights(NamedTuple):
    """A set of weights as training sees it."""

    card: Card
    shape: model.Shape
    tier: str
    values: dict[str, np.ndarray]
    split: str  # that it was trained on


class Held(NamedTuple):
    """The pieces to score and, where prepared arrays hold them, those to train and choose baselines on."""

    test: list[Piece]
    train: list[Piece]
    validation: list[Piece]


def read_weights(folder: Path) -> Weights:
    """Raises `BadInput`."""
    card = Card.read(folder)
    if card.fingerprint != codec.FINGERPRINT:
        raise BadInput(f"weights {folder}: made for another alphabet ({card.fingerprint}); export them again")
    try:
        said = yaml.safe_load(card.text)
        shape, tier = model.Shape(**said["shape"]), str(said["tier"])
        split = str(said["held_out"].get("split", SPLIT))
        whole = all(type(size) is int and 0 < size < LARGEST for size in vars(shape).values())
        if not whole or tier not in TIERS or split not in SPLITS:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise BadInput(f"weights {folder}: its card.yaml states no shape, tier and split; export them again") from None
    try:
        values = arrays.read(folder / "params.npz", MOST_BYTES)
    except FileNotFoundError:
        raise BadInput(f"weights {folder}: there is no params.npz in it; export them again") from None
    except (OSError, arrays.Damaged):
        raise BadInput(f"weights {folder}: its params.npz is damaged; export them again") from None
    if not model.fits(values, shape):
        raise BadInput(
            f"weights {folder}: its params.npz is no network of the shape that its card states; export again"
        )
    return Weights(card, shape, tier, values, split)


def read_pieces(paths: Sequence[Path], split: str, part: str, tier: str) -> Held:
    """Folders of prepared arrays (the part of the tier), single arrays (the part, whatever its licence), MIDI files."""
    held = Held([], [], [])
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path}: there is no such file or folder")
        if path.suffix == ".npz" or _prepared(path):
            single = path.suffix == ".npz"
            corpora = pieces.load(path.parent if single else path, [path.stem] if single else None)
            held.test.extend(pieces.pieces(corpora, split, part, None if single else TIERS[tier]))
            held.train.extend(pieces.pieces(corpora, split, "train", TIERS[tier]))
            held.validation.extend(pieces.pieces(corpora, split, "validation", TIERS[tier]))
        else:
            held.test.extend(read_midi(path))
    if not held.test:
        where = ", ".join(map(str, paths))
        raise BadInput(f"{where}: nothing to score there ({split} {part}, tier {tier}); name another part or path")
    return held


def _prepared(folder: Path) -> bool:
    """Whether `prepare` wrote to it; another's .npz among MIDI files is clutter."""
    return any(map(_is_ours, folder.glob("*.npz")))


def _is_ours(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return "fingerprint.npy" in file.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read_midi(path: Path) -> list[Piece]:
    """A MIDI file, or all in a folder or an archive; one that cannot be read is said and left out."""
    whole = path.is_dir() or path.name.lower().endswith((*archives.TARS, ".zip"))
    members = archives.members(path) if whole else iter([_member(path)])
    kept = []
    for member in track(members, f"{path.name}"):
        piece = prepare.prepare_file(member.name, member.data)
        if problem := member.problem or piece.problem:
            Console(stderr=True).print(f"{member.name}: left out, {problem}", soft_wrap=True, markup=False)
        else:
            kept.append(_piece(archives.name_of(path) if whole else "files", piece))
    if not kept:
        raise BadInput(f"{path}: no MIDI file there can be scored; give .mid files or what improv-train prepare made")
    return kept


def _member(path: Path) -> archives.Member:
    try:
        return archives.Member(path.name, path.read_bytes(), 1.0)
    except OSError as error:
        raise BadInput(f"{path}: it cannot be read ({error.strerror})") from None


def _piece(corpus: str, piece: prepare.Piece) -> Piece:
    """Its style is unknown."""
    held = packed_held(piece.tokens["what"])
    return Piece(corpus, piece.name, piece.tokens, held, 0, piece.notes, piece.seconds)


def network(values: Mapping[str, np.ndarray], shape: model.Shape, source: Sequence[Piece]) -> list[PieceNats]:
    """As `likelihood.network`, with a progress bar."""
    return [scored.total for scored in by_token(values, shape, source, "network")]


def by_token(
    values: Mapping[str, np.ndarray],
    shape: model.Shape,
    source: Sequence[Piece],
    said: str,
    players: Sequence[np.ndarray] | None = None,
) -> list[Scored]:
    """As `likelihood.by_token`, with a progress bar that says what it is."""
    if not source:
        return []
    with Progress() as progress:
        task = progress.add_task(said, total=sum(len(piece.columns["dt"]) for piece in source))
        return likelihood.by_token(
            values, shape, source, players=players, done=lambda tokens: progress.advance(task, tokens)
        )


def events_388(piece: Piece) -> int:
    """How many events of the 388-event scheme the piece makes."""
    columns = piece.columns
    octaves = np.nan_to_num(columns["tempo"].astype(np.float64))
    steps = np.round(columns["dt"] * TICK_MS / 2**octaves / 10)
    shifts = np.ceil(np.maximum(steps, columns["dt"] > 0) * 10 / SHIFT_MS)
    velocity = columns["velocity"][columns["what"] < codec.OFF].astype(int)
    return int(len(columns["dt"]) + shifts.sum() + np.count_nonzero(np.diff(velocity, prepend=-1)))


def _figures(scored: Sequence[PieceNats]) -> dict[str, Any]:
    score = likelihood.total(scored)
    on_10ms = score.nats_per_note + TO_10MS
    return {
        "pieces": len(scored),
        "notes": score.notes,
        "seconds": round(score.seconds, 1),
        "nats_per_note": score.nats_per_note,
        "nats_per_note_10ms": on_10ms,
        "nats_per_event_388": on_10ms * score.notes / sum(events_388(s.piece) for s in scored),
        "nats_per_second": score.nats_per_note * score.notes / score.seconds if score.seconds else None,
        "by_attribute": {name: score.by_attribute[name] for name in ATTRIBUTES},
    }


def summary(scored: Sequence[PieceNats]) -> dict[str, Any]:
    """All figures of a set of pieces, ready for JSON."""
    corpora = sorted({s.piece.corpus for s in scored})
    by_corpus = {corpus: _figures([s for s in scored if s.piece.corpus == corpus]) for corpus in corpora}
    return {**_figures(scored), "by_corpus": by_corpus}


def compare(held: Held) -> dict[str, Any]:
    """The baselines' figures by name, and under `markov_orders` how orders did on validation."""
    found = baselines.score(_some(held.train, BASELINE_TOKENS), held.validation, held.test)
    return {**{name: summary(scored) for name, scored in found.scored.items()}, "markov_orders": found.orders}


def _some(source: Sequence[Piece], tokens: int) -> list[Piece]:
    """All pieces, or so many at random that they have about so many tokens."""
    length = np.array([len(piece.columns["dt"]) for piece in source])
    if length.sum() <= tokens:
        return list(source)
    order = np.random.default_rng(1).permutation(len(source))
    return [source[i] for i in order[np.cumsum(length[order]) <= tokens]]
