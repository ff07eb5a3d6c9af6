"""Feeds tokens to the network and draws tokens from it. A `Stream` says where it stands."""

from __future__ import annotations

import copy
from typing import NamedTuple, Protocol

import numpy as np

from improv.music.flow import NO_HASTE, Haste
from improv.music.steering import Steering
from improv.music.timeline import Timeline
from improv.net import codec
from improv.net.codec import Token
from improv.net.memory import NO_RUNS, NOTHING, Memory, mixed
from improv.net.sampler import Sampling, draw
from improv.net.stepper import Reading

UNKNOWN, PLAYER, MACHINE = range(3)  # who played: numbers of the codec's
LOG_WAITS = np.log1p(codec.DT_START / 8)  # of each dt bin; those within a chord hardly differ
NEAR = 1.5  # bins of velocity: the deviation from that where it is followed wholly
EVERY_PITCH = np.ones(codec.PITCHES, bool)


class Net(Protocol):
    """What a network must do; `net.stepper.Stepper` is the real one."""

    def start(self) -> np.ndarray: ...
    def read(self, state: np.ndarray, token: np.ndarray, context: np.ndarray) -> Reading: ...
    def what(self, hidden: np.ndarray, dt: int, phase: int) -> np.ndarray: ...
    def velocity(self, hidden: np.ndarray, dt: int, what: int) -> np.ndarray: ...


class Stream(NamedTuple):
    """What was read so far, up to `last`, what sounds after it and what of that is the machine's (bool [128]), and
    what of the memory runs alike (`Memory.follow`). Never written to.
    """

    reading: Reading
    last: Token
    held: np.ndarray
    own: np.ndarray
    runs: np.ndarray

    def takes(self, token: Token) -> bool:
        """Whether it may come next, as the alphabet orders what happens."""
        ticks = token.tick - self.last.tick
        return ticks >= 0 and bool(codec.allowed(self.held, self.last.what, ticks)[token.what])


class Limits(NamedTuple):
    """What the next token may be, between `least` and `most` ticks on: a note-on (of some pitches, bool [128], and the
    softest so many bins of velocity) less than `chord` ticks on, or `on_from` or more; a note-off `off_from` or more.

    The rest are inclinations: to shorter waits or longer ones, to the player's bin of velocity, and to what comes next
    in the phrase that is quoted, in so many ticks instead of at a tick.
    """

    least: int = 0
    most: int = codec.DT_LIMIT - 1
    chord: int = 0
    on_from: int = 0
    off_from: int = 0
    on: bool = True
    off: bool = True
    pitches: np.ndarray = EVERY_PITCH
    velocities: int = codec.VELOCITIES
    haste: Haste = NO_HASTE
    loudness: float | None = None
    quoted: Token | None = None
    variation: float = 1.0  # what is left for all else

    @property
    def gap(self) -> tuple[int, int]:
        """Between these ticks, the second not included, nothing may happen."""
        after = min(self.on_from if self.on else self.off_from, self.off_from if self.off else self.on_from)
        return self.chord if self.on else 0, after


class Reader:
    """One network and the way it is spoken to."""

    def __init__(self, net: Net, steering: Steering, remembered: bytes = b"") -> None:
        """`remembered` is what another one's `memory` held."""
        self._net = net
        self.memory = Memory(remembered=remembered)
        self.steer(steering)
        self.reseed((0,))
        self._choices = np.arange(max(codec.DTS, codec.WHATS))
        self._bins = self._choices[: codec.VELOCITIES]
        # What the network is told, written anew each time: it keeps a copy.
        self._token = np.zeros(6, np.int32)
        self._context = np.zeros((1, codec.CONTEXT), np.float32)

    def steer(self, steering: Steering) -> None:
        """How it draws from now on. Raises `ValueError` for a style that is none."""
        self.steering = steering
        self._sampling = Sampling(steering.temperature, steering.top_p)
        self._style = codec.style_index(steering.style)
        self.memory.strength = steering.memory
        self._stiffness = -0.5 * (steering.velocity_follow / NEAR) ** 2

    def recall(self, memory: Memory) -> None:
        """From now on that is what the player has played; the memory itself stays as it is."""
        strength, self.memory = self.memory.strength, copy.deepcopy(memory)
        self.memory.strength = strength

    def reseed(self, seed: tuple[int, ...]) -> None:
        """Throw fresh dice: done for each answer, so that no answer depends on how the last one was cut short."""
        self._rng = np.random.default_rng(seed)

    def start(self, tick: int, timeline: Timeline) -> Stream:
        """A fresh state of the network, about to hear something at `tick`."""
        silent = np.zeros(codec.PITCHES, bool)
        token = Token(tick, codec.START, codec.NO_VELOCITY)
        reading = self._read(self._net.start(), token, 0, silent, timeline, UNKNOWN)
        return Stream(reading, token, silent, silent, NO_RUNS)

    def hear(self, stream: Stream, token: Token, timeline: Timeline, who: int = UNKNOWN) -> Stream:
        """The player has played `token`: it is fed, and remembered."""
        after = self.feed(stream, token, timeline, False, who)
        return after._replace(runs=self.memory.keep(after.runs, token))

    def feed(self, stream: Stream, token: Token, timeline: Timeline, own: bool, who: int = UNKNOWN) -> Stream:
        """One step of the network: `token` has happened. `own`: the machine plays it; `who` is what it is told."""
        held, machines = stream.held.copy(), stream.own
        pitch, on = token.what % codec.PITCHES, token.what < codec.OFF
        held[pitch] = on
        if machines[pitch] != (on and own):
            machines = machines.copy()
            machines[pitch] = on and own
        dt = codec.dt_bin(token.tick - stream.last.tick)
        reading = self._read(stream.reading.state, token, dt, held, timeline, who)
        return Stream(reading, token, held, machines, self.memory.follow(stream.runs, stream.last, token))

    def surprise(self, stream: Stream, token: Token, timeline: Timeline) -> float:
        """How little `token` was expected there, of all that could happen at that tick: in nats."""
        dt = codec.dt_bin(token.tick - stream.last.tick)
        logp = self._net.what(stream.reading.hidden, dt, codec.phase(timeline, token.tick))
        allowed = codec.allowed(stream.held, stream.last.what, token.tick - stream.last.tick).nonzero()[0]
        likely = float(logp[allowed].max())
        return likely + float(np.log(np.exp(logp[allowed] - likely).sum())) - float(logp[token.what])

    def _read(
        self, state: np.ndarray, token: Token, dt: int, held: np.ndarray, timeline: Timeline, who: int
    ) -> Reading:
        phase = codec.phase(timeline, token.tick)
        self._token[:] = (dt, token.what, token.velocity, phase, self._style, who)
        self._context[0, : codec.PITCHES] = held
        self._context[0, codec.PITCHES :] = codec.clock(timeline, token.tick)
        return self._net.read(state, self._token, self._context)

    def draw(self, stream: Stream, limits: Limits, timeline: Timeline) -> Token:
        """What comes next. `limits` must leave something that is possible at `least` + 1 ticks."""
        ticks, allowed = self._draw_dt(stream, limits)
        tick = stream.last.tick + ticks
        dt = codec.dt_bin(ticks)
        hidden = stream.reading.hidden
        logp = self._net.what(hidden, dt, codec.phase(timeline, tick))
        if self.memory.strength:
            logp = mixed(logp, allowed, self.memory.which(stream.runs, stream.last))
        if limits.quoted is not None:
            logp = _quoting(logp, allowed, limits.quoted.what, limits.variation)
        what = draw(logp, allowed, self._sampling, self._rng.random())
        if what >= codec.OFF:
            return Token(tick, what, codec.NO_VELOCITY)
        logp = self._net.velocity(hidden, dt, what)
        choices = self._choices[: limits.velocities]
        if self._stiffness and limits.loudness is not None:
            logp = logp + self._stiffness * (self._bins - limits.loudness) ** 2
        if limits.quoted is not None and limits.quoted.what == what:
            loudest = limits.velocities - 1
            logp = _quoting(logp, choices, min(limits.quoted.velocity, loudest), limits.variation)
        velocity = draw(logp, choices, self._sampling, self._rng.random())
        return Token(tick, what, velocity)

    def _draw_dt(self, stream: Stream, limits: Limits) -> tuple[int, np.ndarray]:
        """The ticks to the next token, and which `what` may stand there."""
        ticks = self._draw_ticks(stream, limits.least, limits)
        allowed = self._allowed(stream, limits, ticks)
        if ticks == 0 and not len(allowed):  # the chord is complete: nothing more fits at this tick
            ticks = self._draw_ticks(stream, 1, limits)
            allowed = self._allowed(stream, limits, ticks)
        return ticks, allowed

    def _draw_ticks(self, stream: Stream, least: int, limits: Limits) -> int:
        gap, after = limits.gap
        if least >= gap and least < after:
            least = after
        most = max(least, limits.most)
        choices = self._choices[codec.dt_bin(least) : codec.dt_bin(most) + 1]
        if least < gap < after:
            fast, slow = codec.dt_bin(gap), codec.dt_bin(after)
            choices = choices[(choices < fast) | (choices >= slow)]
        if len(choices) == 1:
            bin_ = int(choices[0])
        else:
            logp, haste = stream.reading.dt, limits.haste
            if haste.share:
                p = np.exp(logp - logp.max())
                logp = np.log(_at_pace(p, haste.pace, haste.share) + NOTHING)
            if self.memory.strength:
                votes = _at_pace(self.memory.when(stream.runs), haste.pace, haste.of_memory)
                logp = mixed(logp, choices, votes)
            if haste.pull:
                logp = logp - haste.pull * LOG_WAITS
            if limits.quoted is not None:
                logp = _quoting(logp, choices, codec.dt_bin(limits.quoted.tick), limits.variation)
            bin_ = draw(logp, choices, self._sampling, self._rng.random())
        start, width = codec.dt_range(bin_)
        residue = int(self._rng.random() * width) if width > 1 else 0
        if limits.quoted is not None and 0 <= limits.quoted.tick - start < width:
            residue = limits.quoted.tick - start
        ticks = min(max(start + residue, least), most)
        return max(ticks, after) if ticks >= gap else ticks  # a bin may begin before the gap ends

    def _allowed(self, stream: Stream, limits: Limits, ticks: int) -> np.ndarray:
        mask = codec.allowed(stream.held, stream.last.what, ticks)
        if not limits.on or limits.chord <= ticks < limits.on_from:
            mask[: codec.OFF] = False
        else:
            mask[: codec.OFF] &= limits.pitches
        if not limits.off or ticks < limits.off_from:
            mask[codec.OFF :] = False
        else:
            mask[codec.OFF :] &= stream.own
        return mask.nonzero()[0]


def _at_pace(weights: np.ndarray, pace: float, share: float) -> np.ndarray:
    """Weights of the dt bins, of which a share is of waits so many times as short."""
    return (1 - share) * weights + share * np.bincount(codec.paced(pace), weights, codec.DTS) if share else weights


def _quoting(logp: np.ndarray, choices: np.ndarray, quoted: int, variation: float) -> np.ndarray:
    """Log-probabilities of the `choices` where the one that is quoted has a share of 1 - variation."""
    votes = np.zeros(len(logp))
    votes[quoted] = (1 - variation) / max(variation, NOTHING)
    return mixed(logp, choices, votes)
