"""What a network plays, beside what really followed: the engine of the daemon is primed with held-out music and asked.

Players of every excerpt, each of them eight seconds long:

truth            what follows in the piece; the others are compared with it
network          `improv.engine` with the exported graphs and the default settings, asked for exactly eight seconds
echo             the prime over again
continuator      a Markov chain that learned the prime alone (`continuator`)
continuator_all  the same, that learned the training notes of the corpus
another          what follows somewhere else in the same corpus
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from improv.config import Settings
from improv.engine import Engine
from improv.music.events import Ask, NoteOff, NoteOn, Played
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from improv.net.stream import Net
from improv.render import perform
from train.corpora.pieces import Piece
from train.judge import copying, excerpts, likeness
from train.judge.continuator import Continuator
from train.judge.excerpts import SECONDS, Excerpt
from train.judge.notes import Notes, in_order, notes

PLAYERS = ("truth", "network", "echo", "continuator", "continuator_all", "another")
LEARNED_NOTES = 200_000  # of each corpus, by `continuator_all`
LIKENESS = ("pitch_classes", "density", "semitones", "range", "velocity", "inter_onset", "in_scale")


class Performance(NamedTuple):
    """One player's eight seconds after one excerpt; times from the moment of asking."""

    player: str
    excerpt: Excerpt
    notes: Notes


def perform_all(net: Net, chosen: Sequence[Excerpt], training: Sequence[Piece], seed: int) -> list[Performance]:
    rng = np.random.default_rng(seed)
    learned = _learned({excerpt.piece.corpus for excerpt in chosen}, training, rng)
    found = []
    for i, excerpt in enumerate(track(chosen, "what it plays")):
        prime, tick_s = excerpt.prime, 60 / (excerpt.line.bpm * TICKS_PER_BEAT)
        everything = learned.get(excerpt.piece.corpus)
        own = [e for e in chosen if e.piece.corpus == excerpt.piece.corpus and e.piece is not excerpt.piece]
        played = {
            "truth": excerpt.truth,
            "network": answer(net, excerpt, seed + i),
            "echo": excerpts.cut(prime.part(prime.start < SECONDS), SECONDS),
            "continuator": Continuator([prime]).go_on(prime, 0.0, SECONDS, tick_s, rng),
            "continuator_all": everything.go_on(prime, 0.0, SECONDS, tick_s, rng) if everything else None,
            "another": own[int(rng.integers(len(own)))].truth if own else None,
        }
        found += [Performance(player, excerpt, it) for player, it in played.items() if it is not None]
    return found


def _learned(corpora: set[str], training: Sequence[Piece], rng: np.random.Generator) -> dict[str, Continuator]:
    found = {}
    for corpus in sorted(corpora):
        own = [piece for piece in training if piece.corpus == corpus]
        left, chosen = LEARNED_NOTES, []
        for i in rng.permutation(len(own)):
            if left > 0:
                chosen.append(notes(own[i]))
                left -= own[i].notes
        if chosen:
            found[corpus] = Continuator(chosen)
    return found


def answer(net: Net, excerpt: Excerpt, seed: int) -> Notes:
    """The engine's answer of exactly eight seconds, as the daemon gives it."""
    engine = Engine(net, Settings().musicianship(seed, listens_for_the_end=False))
    ask = Ask(round(excerpt.ask_s * NS), length_ns=round(SECONDS * NS))
    return sounded(perform(engine, [*excerpt.heard, ask]), excerpt.line, ask.time_ns)


def sounded(played: Sequence[Played], line: Timeline, zero_ns: int) -> Notes:
    """Notes of what an engine played, counted from a moment on."""
    begun: dict[int, NoteOn] = {}
    rows = []
    for event in sorted(played, key=lambda event: event.time_ns):
        if isinstance(event, NoteOn):
            begun[event.pitch] = event
        elif isinstance(event, NoteOff) and event.pitch in begun:
            on = begun.pop(event.pitch)
            tick = line.tick(on.time_ns) - line.tick(zero_ns)
            start, length = (on.time_ns - zero_ns) / NS, (event.time_ns - on.time_ns) / NS
            rows.append((tick, start, length, on.pitch, on.velocity))
    columns = zip(*rows, strict=True) if rows else [()] * 5
    kinds = (np.int64, np.float64, np.float64, np.int64, np.int64)
    return in_order(Notes(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True))))


def figures(performances: Sequence[Performance], heard: np.ndarray | None) -> dict[str, Any]:
    """By player, over all and by corpus; `heard` are the steps of the training notes (`copying.join`), if there are."""
    copied = copying.copied([p.notes for p in performances], heard) if heard is not None else None
    rows = [
        {"player": p.player, "corpus": p.excerpt.piece.corpus, **compare(p)}
        | ({"copied": copied[i]} if copied is not None else {})
        for i, p in enumerate(performances)
    ]
    corpora = sorted({row["corpus"] for row in rows})
    return {
        "excerpts": sum(row["player"] == "truth" for row in rows),
        "seconds": SECONDS,
        "players": _by_player(rows),
        "by_corpus": {
            corpus: {
                "excerpts": sum(row["player"] == "truth" and row["corpus"] == corpus for row in rows),
                "players": _by_player([row for row in rows if row["corpus"] == corpus]),
            }
            for corpus in corpora
        },
    }


def compare(performance: Performance) -> dict[str, float | int | None]:
    """One performance beside the truth; None where there is nothing to compare."""
    played, truth = performance.notes, performance.excerpt.truth
    return {
        "pitch_classes": likeness.pitch_class_overlap(played, truth),
        "density": likeness.density_ratio(played, truth),
        "semitones": likeness.semitones(played),
        "range": likeness.range_overlap(played, truth),
        "velocity": likeness.velocity_overlap(played, truth),
        "inter_onset": likeness.wait_overlap(played, truth),
        "in_scale": likeness.in_scale(played, likeness.scale(performance.excerpt.prime)),
    }


def _by_player(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    of = {player: [row for row in rows if row["player"] == player] for player in PLAYERS}
    return {player: _mean(own) for player, own in of.items() if own}


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means and their standard errors; the copied 8-grams are counted over all rows together.

    The density is a geometric mean, its error in octaves.
    """
    means: dict[str, Any] = {"performances": len(rows)}
    errors = {}
    for name in LIKENESS:
        values = np.array([row[name] for row in rows if row[name] is not None], float)
        means[name] = float(values.mean()) if len(values) else None
        errors[name] = float(values.std() / np.sqrt(len(values))) if len(values) else None
    ratios = np.log2([row["density"] for row in rows if row["density"] > 0] or [1.0])
    means["density"], errors["density"] = float(2 ** ratios.mean()), float(ratios.std() / np.sqrt(len(ratios)))
    means["standard_errors"] = errors
    if "copied" in rows[0]:
        copied: list[copying.Copied] = [row["copied"] for row in rows]
        means["copied_8grams"] = sum(c.found for c in copied) / max(1, sum(c.grams for c in copied))
        means["longest_copied"] = max(c.longest for c in copied)
        means["mean_longest_copied"] = float(np.mean([c.longest for c in copied]))
    return means
