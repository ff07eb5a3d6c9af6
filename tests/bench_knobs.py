"""What it costs to steer an answer, and how well that follows: a section of `make bench`."""

from __future__ import annotations

import time
from dataclasses import replace

from improv.engine import Engine
from improv.live.tally import percentile
from improv.music.events import Ask, Heard, NoteOff, NoteOn
from improv.music.musicianship import PLAIN, Musicianship
from improv.music.steering import Steering
from improv.music.timeline import NS
from improv.net.stepper import Stepper
from improv.net.stream import Net
from improv.net.weights import find
from improv.render import perform
from tests.figures import Figure, Section
from tests.nets import lively

ROUNDS = 8  # of both, in turn
SPACING_NS = NS // 4
PITCHES = (60, 62, 64, 65, 67, 65, 64, 62, 60, 64, 67, 71, 72, 71, 69, 67)
NONE = replace(PLAIN, length=8.0)
ALL = replace(NONE, variation=0.5, key="D dorian", density=2.0, register=7, voices=4, velocity_follow=0.5)
DENSITIES = (0.25, 0.5, 1.0, 2.0, 4.0)
ASKED_S, ANSWERS = 20.0, 3


def phrase() -> list[Heard]:
    heard: list[Heard] = []
    for i, pitch in enumerate(PITCHES):
        on_ns = NS + i * SPACING_NS
        heard += [NoteOn(on_ns, pitch, 80), NoteOff(on_ns + SPACING_NS - NS // 50, pitch)]
    return heard


def engine(net: Net, steering: Steering, seed: int) -> Engine:
    return Engine(net, Musicianship(steering=steering, listens_for_the_end=False, seed=seed))


def planning_ms(steering: Steering, seed: int) -> list[float]:
    """Each event of an answer, by a network that costs nothing."""
    playing = engine(lively(), steering, seed)
    for event in phrase():
        playing.step(event.time_ns, event)
    now = phrase()[-1].time_ns + NS
    playing.step(now, Ask(now))
    times = []
    while not playing.resting and (due_ns := playing.deadline()) is not None:
        now = max(now, due_ns)
        began = time.perf_counter()
        playing.step(now)
        times.append((time.perf_counter() - began) * 1e3)
    return times


def notes_a_second(net: Net, density: float) -> float:
    ask, found = Ask(phrase()[-1].time_ns + NS, length_ns=round(ASKED_S * NS)), 0
    for seed in range(ANSWERS):
        played = perform(engine(net, Steering(density=density), seed), [*phrase(), ask])
        found += sum(isinstance(event, NoteOn) for event in played)
    return found / ANSWERS / ASKED_S


def steering(name: str) -> Section:
    free: list[float] = []
    steered: list[float] = []
    for seed in range(ROUNDS):
        free += planning_ms(NONE, seed)
        steered += planning_ms(ALL, seed)
    yield Figure("all knobs turned over none, an event, median", _median(steered) - _median(free), "ms", 0.05)
    net = Stepper(find(name))
    for density in DENSITIES:
        found = notes_a_second(net, density)
        yield Figure(f"answer to {NS / SPACING_NS:g} notes a second at density {density:g}", found, "notes/s")


def _median(times: list[float]) -> float:
    return percentile(times, 0.5)
