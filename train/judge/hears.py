"""What a network makes of what it hears: how sure it is and how rightly, over long sessions, and of what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from improv.net import codec
from train.corpora.pieces import Piece
from train.judge import evaluate
from train.judge.evaluate import Weights
from train.judge.notes import seconds
from train.network.likelihood import ATTRIBUTES, Scored

MINUTE_S = 60.0
LONG_S = 30 * 60.0  # of other music, before what counts as late in a session
LATE_S = 10 * 60.0  # so much of that is scored
PAUSE_TICKS = 96  # between two pieces of a session: two beats, or a second in free time
BINS = 15  # of probability, for the calibration (Guo et al. 2017)
SAMPLE_NOTES = 10_000  # of each style, or of all metric pieces, or of all for `who`; whole pieces
PLAYER, MACHINE = codec.WHO.index("player"), codec.WHO.index("machine")

Masks = Sequence[np.ndarray | slice]


def per_note(scored: Sequence[Scored], masks: Masks | None = None) -> float:
    """Nats per note of the tokens that the masks (bool [N] a piece) leave."""
    masks = [slice(None)] * len(scored) if masks is None else masks
    nats = sum(float(s.nats[mask].sum(dtype=np.float64)) for s, mask in zip(scored, masks, strict=True))
    return nats / max(1, notes_in(scored, masks))


def notes_in(scored: Sequence[Scored], masks: Masks) -> int:
    return sum(int((s.piece.columns["what"][mask] < codec.OFF).sum()) for s, mask in zip(scored, masks, strict=True))


def by_time(scored: Sequence[Scored]) -> dict[str, Any]:
    """As `early_and_later`, by corpus as well."""
    corpora = sorted({s.piece.corpus for s in scored})
    own = {corpus: early_and_later([s for s in scored if s.piece.corpus == corpus]) for corpus in corpora}
    return {**early_and_later(scored), "by_corpus": own}


def early_and_later(scored: Sequence[Scored]) -> dict[str, Any]:
    """The first minute of every piece, and what comes after it."""
    early = [seconds(s.piece) < MINUTE_S for s in scored]
    later = [~mask for mask in early]
    return {
        name: {"notes": notes_in(scored, masks), "nats_per_note": per_note(scored, masks)}
        for name, masks in (("first_minute", early), ("later", later))
        if notes_in(scored, masks)
    }


def accuracy(scored: Sequence[Scored]) -> dict[str, float | None]:
    """How often the likeliest value was the one that came, by attribute; None where none is counted."""
    right = np.sum([(s.right & s.counts).sum(axis=0) for s in scored], axis=0)
    count = np.sum([s.counts.sum(axis=0) for s in scored], axis=0)
    return {name: float(right[i] / count[i]) if count[i] else None for i, name in enumerate(ATTRIBUTES)}


def calibration(scored: Sequence[Scored]) -> dict[str, Any]:
    """By attribute the expected calibration error, and by bin the mean probability of the likeliest value (`sure`),
    how often it was right, and the share of tokens.
    """
    found = {}
    for column, name in enumerate(ATTRIBUTES):
        counted = [s.counts[:, column] for s in scored]
        sure = np.concatenate([s.sure[mask, column] for s, mask in zip(scored, counted, strict=True)])
        right = np.concatenate([s.right[mask, column] for s, mask in zip(scored, counted, strict=True)])
        if len(sure):
            found[name] = _reliability(sure.astype(np.float64), right)
    return found


def _reliability(sure: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    count, sums, hits = (np.bincount(place, weights, minlength=BINS) for weights in (None, sure, right))
    error = float(np.abs(hits - sums).sum() / len(sure))
    bins = [
        {"sure": sums[i] / count[i], "right": hits[i] / count[i], "share": count[i] / len(sure)}
        for i in np.flatnonzero(count)
    ]
    return {"expected_calibration_error": error, "bins": bins}


def long_session(weights: Weights, scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Pieces late in a session of their corpus, played one after the other, beside the same pieces from a fresh start.

    As live, a short pause stands between two pieces and nothing is forgotten. A corpus of less music is left out.
    """
    rng = np.random.default_rng(seed)
    sessions = {corpus: _session(scored, corpus, rng) for corpus in sorted({s.piece.corpus for s in scored})}
    sessions = {corpus: session for corpus, session in sessions.items() if session is not None}
    streams = [end_to_end([s.piece for s in before + late]) for before, late in sessions.values()]
    found = {}
    for (corpus, (before, late)), stream in zip(
        sessions.items(), evaluate.by_token(weights.values, weights.shape, streams, "a long session"), strict=True
    ):
        carried = _taken_apart(stream, before, late)
        found[corpus] = {
            "minutes_before": sum(s.piece.seconds for s in before) / 60,
            "pieces": len(late),
            "notes": sum(s.piece.notes for s in late),
            "fresh": per_note(late),
            "carried": per_note(carried),
        }
    return found


def _session(
    scored: Sequence[Scored], corpus: str, rng: np.random.Generator
) -> tuple[list[Scored], list[Scored]] | None:
    """Pieces of a corpus' commonest style: those that are played first, and the late ones."""
    own = [s for s in scored if s.piece.corpus == corpus]
    style = np.bincount([s.piece.style for s in own]).argmax()
    own = [s for s in own if s.piece.style == style]
    before, late, passed = [], [], 0.0
    for i in rng.permutation(len(own)):
        if passed < LONG_S + LATE_S:
            (before if passed < LONG_S else late).append(own[i])
            passed += own[i].piece.seconds
    return (before, late) if late else None


def end_to_end(pieces: Sequence[Piece]) -> Piece:
    """One piece of many, a pause between each two."""
    columns = {name: np.concatenate([p.columns[name] for p in pieces]) for name in pieces[0].columns}
    begins = np.cumsum([len(p.columns["dt"]) for p in pieces])[:-1]
    columns["dt"][begins] = PAUSE_TICKS
    held = np.concatenate([p.held for p in pieces])
    notes, length = sum(p.notes for p in pieces), sum(p.seconds for p in pieces)
    return pieces[0]._replace(name="session", columns=columns, held=held, notes=notes, seconds=length)


def _taken_apart(stream: Scored, before: Sequence[Scored], late: Sequence[Scored]) -> list[Scored]:
    """The late pieces of a session; as at a piece's start, the time to its first note does not count."""
    begin = sum(len(s.nats) for s in before)
    found = []
    for s in late:
        nats = stream.nats[begin : begin + len(s.nats)].copy()
        nats[0, ATTRIBUTES.index("dt")] = 0
        found.append(s._replace(nats=nats))
        begin += len(s.nats)
    return found


def sample(scored: Sequence[Scored], notes: int, seed: int) -> list[Scored]:
    """Whole pieces at random until they have so many notes."""
    chosen, left = [], notes
    for i in np.random.default_rng(seed).permutation(len(scored)):
        if left > 0:
            chosen.append(scored[i])
            left -= scored[i].piece.notes
    return chosen


def style(weights: Weights, scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Nats per note by the style of pieces: told the right one, none, and each other that the network has learned."""
    learned = [codec.STYLES.index(name) for name, notes in weights.card.styles.items() if name in codec.STYLES[1:]]
    samples = {
        number: sample([s for s in scored if s.piece.style == number], SAMPLE_NOTES, seed)
        for number in sorted({s.piece.style for s in scored} & set(learned))
    }
    told = [(number, other) for number in samples for other in (0, *learned) if other != number]
    source = [s.piece._replace(style=other) for number, other in told for s in samples[number]]
    rescored = iter(evaluate.by_token(weights.values, weights.shape, source, "style"))
    other_way = {pair: per_note([next(rescored) for _ in samples[pair[0]]]) for pair in told}
    found = {}
    for number, own in samples.items():
        wrong = {codec.STYLES[o]: nats for (n, o), nats in other_way.items() if n == number and o}
        found[codec.STYLES[number]] = {
            "notes": sum(s.piece.notes for s in own),
            "right": per_note(own),
            "none": other_way[number, 0],
            "wrong": float(np.mean(list(wrong.values()))) if wrong else None,
            "by_wrong_style": wrong,
        }
    return found


def metre(weights: Weights, scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Nats per note of pieces on a beat, told of beat, bar and tempo and not."""
    metric = sample([s for s in scored if np.isfinite(s.piece.columns["bar"]).all()], SAMPLE_NOTES, seed)
    if not metric:
        return {}
    without = evaluate.by_token(weights.values, weights.shape, [without_clock(s.piece) for s in metric], "metre")
    notes = sum(s.piece.notes for s in metric)
    return {"notes": notes, "with": per_note(metric), "without": per_note(without)}


def without_clock(piece: Piece) -> Piece:
    blank = {"phase": codec.NO_PHASE, "bar": np.nan, "tempo": np.nan}
    columns = {name: np.full_like(piece.columns[name], value) for name, value in blank.items()}
    return piece._replace(columns={**piece.columns, **columns})


def who(weights: Weights, scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Nats per note of the upper part and of the lower, with both heard, told who plays what and not.

    The parts meet at a piece's median pitch.
    """
    chosen = sample(scored, SAMPLE_NOTES, seed)
    upper = [_upper(s.piece) for s in chosen]
    players = [np.where(mask, MACHINE, PLAYER) for mask in upper]
    told = evaluate.by_token(weights.values, weights.shape, [s.piece for s in chosen], "who", players)
    return {
        part: {"notes": notes_in(chosen, masks), "with": per_note(told, masks), "without": per_note(chosen, masks)}
        for part, masks in (("upper", upper), ("lower", [~mask for mask in upper]))
    }


def _upper(piece: Piece) -> np.ndarray:
    what = piece.columns["what"]
    return what % codec.PITCHES >= np.median(what[what < codec.OFF])


def everything(weights: Weights, scored: Sequence[Scored], seed: int) -> Mapping[str, Any]:
    """All of it, ready for JSON."""
    return {
        "by_time": by_time(scored),
        "long_session": long_session(weights, scored, seed),
        "accuracy": accuracy(scored),
        "calibration": calibration(scored),
        "style": style(weights, scored, seed),
        "metre": metre(weights, scored, seed),
        "who": who(weights, scored, seed),
    }
