"""When is a phrase over? False ends against delay, on held-out phrases that are followed by silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from improv.music.damper import Damper
from improv.music.events import NoteOff, NoteOn
from improv.music.steering import Steering
from improv.music.timeline import NS, Timeline
from improv.music.turns import CHORD_NS, Listener, TurnRules
from improv.net import codec
from improv.net.codec import Quantiser
from improv.net.stream import Net, Reader
from train.corpora.pieces import Piece
from train.judge import excerpts
from train.judge.notes import Notes, notes

REST_S = 2.0  # a silence as long as this ends a phrase, as the end of the piece does
CHORDS = (8, 40)  # of an excerpt, at least and at most
LONGEST_S = 30.0
EACH = 4  # excerpts of a piece, at most
TAIL = 0.1  # of the time of the next event, as the network sees it: where that is read off
RULES = ("turns", "fixed", "network")
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3)  # shares of false ends at which delays are compared

Struck = NoteOn | NoteOff


class Excerpt(NamedTuple):
    """The end of a phrase: some chords up to its last release, the first at 0."""

    corpus: str
    heard: list[Struck]


class Step(NamedTuple):
    """An event, and what the engine knows after it."""

    event: Struck
    sounding: list[Struck]
    voices: int
    held: bool
    silence_s: float  # that follows; 0: none, infinite: nothing comes any more


class Point(NamedTuple):
    """A rule with one value of its setting."""

    setting: float
    false: float  # share of the excerpts in which it ended the phrase in a rest
    median_s: float  # from the last release to the decision, at the true end
    mean_s: float


Rule = Callable[[Sequence[Step], np.ndarray], np.ndarray]


class Try(NamedTuple):
    """What a rule made of an excerpt, by its settings."""

    false: np.ndarray  # whether it ended the phrase in a rest
    delay_s: np.ndarray  # at the true end


# Excerpts


def draw(source: Sequence[Piece], most: int, seed: int) -> list[Excerpt]:
    """At most so many of each corpus, of pieces in random order, each phrase cut to a random number of chords."""
    rng = np.random.default_rng(seed)
    found: list[Excerpt] = []
    for corpus in sorted({piece.corpus for piece in source}):
        own = [piece for piece in source if piece.corpus == corpus]
        drawn: list[Excerpt] = []
        for i in rng.permutation(len(own)):
            if len(drawn) < most:
                drawn += ends_of(own[i], rng)
        found += drawn[:most]
    return found


def ends_of(piece: Piece, rng: np.random.Generator) -> list[Excerpt]:
    """The end of the piece, and some of its phrases that a long rest follows."""
    whole = notes(piece)
    whole = whole.part(np.argsort(whole.start, kind="stable"))
    chords = chord_starts(whole)
    found: list[tuple[float, float]] = []
    after = 0
    for end in _ends(whole, chords):
        begin = max(after, end + 1 - int(rng.integers(CHORDS[0], CHORDS[1] + 1)))
        begin += int(np.searchsorted(chords[begin : end + 1], chords[end] - LONGEST_S))
        if end + 1 - begin >= CHORDS[0]:
            found.append((float(chords[begin]), float(chords[end + 1]) if end + 1 < len(chords) else np.inf))
        after = end + 1
    kept = [*rng.permutation(len(found) - 1)[: EACH - 1], len(found) - 1] if found else []
    return [Excerpt(piece.corpus, _struck(piece, *found[i])) for i in sorted(kept)]


def chord_starts(whole: Notes) -> np.ndarray:
    """The first onset of each chord, in seconds."""
    starts: list[float] = []
    for start in whole.start.tolist():
        if not starts or start - starts[-1] > CHORD_NS / NS:
            starts.append(start)
    return np.array(starts)


def _ends(whole: Notes, chords: np.ndarray) -> list[int]:
    """The chords after which all is silent for long."""
    ended = np.maximum.accumulate(whole.start + whole.length)[np.searchsorted(whole.start, chords[1:]) - 1]
    return [*np.flatnonzero(chords[1:] - ended >= REST_S).tolist(), len(chords) - 1]


def _struck(piece: Piece, begin_s: float, end_s: float) -> list[Struck]:
    heard, _ = excerpts.listen(piece, begin_s, end_s)
    return [event for event in heard if isinstance(event, NoteOn | NoteOff)]


def followed(excerpt: Excerpt) -> list[Step]:
    """The excerpt through the damper."""
    damper, found = Damper(), []
    for i, event in enumerate(excerpt.heard):
        sounding = damper.hear(event)
        next_ns = excerpt.heard[i + 1].time_ns if i + 1 < len(excerpt.heard) else np.inf
        silence_s = 0.0 if damper.held else (next_ns - event.time_ns) / NS
        found.append(Step(event, sounding, damper.voices, damper.held, silence_s))
    return found


# Rules: how many seconds each would wait in each silence [settings, silences], by the values of its one setting


def by_turns(steps: Sequence[Step], settings: np.ndarray) -> np.ndarray:
    """The rule that plays, by `silence`; the longest silence is what ends a phrase here."""
    return _listened(steps, [TurnRules(silence=value, longest_silence_s=REST_S) for value in settings.tolist()])


def as_set(steps: Sequence[Step], settings: np.ndarray) -> np.ndarray:
    """By `silence`, all else as by default."""
    return _listened(steps, [TurnRules(silence=value) for value in settings.tolist()])


def fixed(steps: Sequence[Step], settings: np.ndarray) -> np.ndarray:
    """The same wait everywhere."""
    return np.repeat(settings[:, None], sum(step.silence_s > 0 for step in steps), axis=1)


def expecting(reader: Reader) -> Rule:
    """The later the network expects what comes next, the surer the end, and the shorter the wait, in the same bounds.

    For it has learned that what follows the end of a phrase follows late.
    """

    def waits(steps: Sequence[Step], settings: np.ndarray) -> np.ndarray:
        expected_s = np.array([later_s(logp, TAIL) for logp in _expected(steps, reader)])
        return np.clip(settings[:, None] / expected_s, TurnRules().shortest_silence_s, REST_S)

    return waits


def _listened(steps: Sequence[Step], rules: Sequence[TurnRules]) -> np.ndarray:
    listeners, columns = [Listener(each) for each in rules], []
    for step in steps:
        time_ns = step.event.time_ns
        for listener in listeners:
            if isinstance(step.event, NoteOn):
                listener.note(time_ns, step.event.pitch, step.voices)
            listener.changed(time_ns, step.held)
        if step.silence_s > 0:
            deadlines = [listener.deadline() or time_ns for listener in listeners]
            columns.append([(due_ns - time_ns) / NS for due_ns in deadlines])
    return np.array(columns).T


def _expected(steps: Sequence[Step], reader: Reader) -> Iterator[np.ndarray]:
    """What the network says of `dt` at the beginning of each silence: log-probabilities [128]."""
    line, quantiser = Timeline(), Quantiser()
    stream = reader.start(0, line)
    for step in steps:
        tokens = [token for each in step.sounding for token in quantiser.add(line.tick(each.time_ns), each)]
        if step.silence_s > 0:
            tokens += quantiser.close(line.tick(step.event.time_ns) + 2)  # a note within one tick ends at the next
        for token in tokens:
            stream = reader.feed(stream, token, line, own=False)
        if step.silence_s > 0:
            yield stream.reading.dt


def later_s(logp: np.ndarray, chance: float) -> float:
    """The seconds of silence after which so little chance is left that an event is still to come."""
    edges = np.append(codec.DT_START, codec.DT_LIMIT) / Timeline().ticks_per_s
    probability = np.exp(logp.astype(np.float64))
    later = np.append(1.0, 1.0 - np.cumsum(probability / probability.sum()))
    return float(np.interp(-chance, -later, edges))


# Figures


def judge(chosen: Sequence[Excerpt], net: Net) -> dict[str, Any]:
    """The curves of all rules, over all excerpts and by corpus, ready for JSON."""
    expected = expecting(Reader(net, Steering(memory=0.0)))
    rules: list[tuple[str, Rule, np.ndarray]] = [
        ("turns", by_turns, np.geomspace(0.5, 25, 60)),
        ("fixed", fixed, np.geomspace(0.05, 4, 80)),
        ("network", expected, np.geomspace(0.01, 100, 60)),
        ("as set", as_set, np.array([TurnRules().silence])),
    ]
    tries = [_tried(excerpt, rules) for excerpt in track(chosen, "phrases")]
    corpora = sorted({excerpt.corpus for excerpt in chosen})
    own = {corpus: [t for e, t in zip(chosen, tries, strict=True) if e.corpus == corpus] for corpus in corpora}
    return {**_figures(tries, rules), "by_corpus": {corpus: _figures(each, rules) for corpus, each in own.items()}}


def _tried(excerpt: Excerpt, rules: Sequence[tuple[str, Rule, np.ndarray]]) -> dict[str, Try]:
    steps = followed(excerpt)
    lengths = np.array([step.silence_s for step in steps if step.silence_s > 0])
    found = {}
    for name, rule, settings in rules:
        waits = rule(steps, settings)
        found[name] = Try((waits < lengths)[:, :-1].any(axis=1), waits[:, -1])
    return found


def _figures(tries: Sequence[dict[str, Try]], rules: Sequence[tuple[str, Rule, np.ndarray]]) -> dict[str, Any]:
    found: dict[str, Any] = {"excerpts": len(tries)}
    for name, _, settings in rules:
        false = np.mean([each[name].false for each in tries], axis=0)
        delays = np.array([each[name].delay_s for each in tries])
        rows = zip(settings, false, np.median(delays, axis=0), delays.mean(axis=0), strict=True)
        found[name] = [Point(*map(float, row))._asdict() for row in rows]
    return found


def soonest(points: Sequence[Mapping[str, float]], false: float) -> Mapping[str, float] | None:
    """The point of a curve with the smallest median delay that has no more false ends; None: it has none."""
    return min((p for p in points if p["false"] <= false), key=lambda p: p["median_s"], default=None)
