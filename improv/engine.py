"""The improviser itself: heard events in, played events out. No port, no thread, no clock.

    step(now, event) -> events to play, each with the time it is due
    deadline()       -> when to call `step` next if nothing is heard; None: not before then
    silence(now)     -> what to send to fall silent at once

Times are integer nanoseconds of one monotonic clock. What is decided depends on the stamps of the
events and on nominal deadlines, never on when `step` was called, so a list of events always gives
the same answer. A call takes at most one step of the network.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from improv.music.answer import Answer, Manner, Planned
from improv.music.damper import Damper, Sounding
from improv.music.events import Ask, Heard, InputLost, NoteOff, NoteOn, Played, Retime, Yield
from improv.music.timeline import FREE_BPM, NS, Timeline
from improv.music.turns import Listener, TurnRules
from improv.net import codec
from improv.net.codec import Token
from improv.net.sampler import Sampling
from improv.net.stream import UNKNOWN, Limits, Net, Reader, Stream

AHEAD_NS = NS // 2  # how far ahead of its time an answer is planned
LEAD_NS = 5_000_000  # live, an answer begins so long after it was decided: its first chord is then on time, whole
GRACE_NS = 2_000_000  # a note may reach the engine so long after its stamp and still join its tick
KEPT_NS = NS  # planned events stay revocable for so long after they were due
UNKNOWN_LENGTH_NS = 4 * NS  # of an answer to nothing
BACKLOG = 1024  # tokens waiting to be read; a flood beyond that drops the oldest


@dataclass(frozen=True)
class Musicianship:
    """Every musical setting of the engine."""

    sampling: Sampling = field(default_factory=Sampling)
    style: int = UNKNOWN  # what the network is told, as numbered in the codec
    turns: TurnRules = field(default_factory=TurnRules)
    bpm: float | None = None  # None: free time, no beat
    longest_answer_s: float = 60.0
    forget_s: float = 30.0  # of silence, then the memory starts afresh
    listens_for_the_end: bool = True  # False: answers only when asked (`Ask`)
    seed: int = 0


class _HandOver(NamedTuple):
    """A turn that was decided at `time_ns` and begins as soon as all that was heard is read."""

    time_ns: int
    length_ns: int
    manner: Manner
    exact: bool
    notes: int | None


class Engine:
    def __init__(self, net: Net, musicianship: Musicianship = Musicianship()) -> None:
        self._settings = musicianship
        self._reader = Reader(net, musicianship.sampling, musicianship.style)
        self._listener = Listener(musicianship.turns)
        self._damper = Damper()
        self._quantiser = codec.Quantiser()
        self._unread: deque[Token] = deque(maxlen=BACKLOG)
        self._stream: Stream | None = None
        self._timeline: Timeline | None = None
        self._hand_over: _HandOver | None = None
        self._answer: Answer[Stream] | None = None
        self._offset_ns = 0  # of what is played, from its tick: an answer begins when it may, not on a tick
        self._floor = 0  # the first tick a heard event may still fall on
        self._now = 0
        self._active_ns = 0  # when something was last heard or played
        self.answers = 0

    def step(self, now: int, event: Heard | None = None) -> list[Played]:
        """Take one event, or do the one thing that is due."""
        self._now = now
        if event is not None:
            self._settle(event.time_ns)
            return self._hear(event)
        deadline = self.deadline()
        return self._advance(deadline) if deadline is not None and deadline <= now else []

    def silence(self, now: int) -> list[Played]:
        """Stop playing and forget what was planned."""
        self._now = now
        self._hand_over = None
        return self._yield(now)

    @property
    def resting(self) -> bool:
        """Whether there is nothing to read, to decide or to play."""
        return not self._unread and self._hand_over is None and self._answer is None

    def deadline(self) -> int | None:
        """When something is to be done if nothing is heard; `now` while the network has work."""
        if self._unread or self._hand_over:
            return self._now
        times = [self._tick_ends_ns(), self._turn_ends_ns(), self._plan_due_ns(), self._forget_ns()]
        return min((time for time in times if time is not None), default=None)

    def _tick_ends_ns(self) -> int | None:
        if self._quantiser.tick is None or self._timeline is None:
            return None
        return self._timeline.time_ns(self._quantiser.tick + 0.5) + GRACE_NS

    def _turn_ends_ns(self) -> int | None:
        return self._listener.deadline() if self._settings.listens_for_the_end and self._answer is None else None

    def _plan_due_ns(self) -> int | None:
        """When the plan runs short, or, once it is whole, when it has been played."""
        answer = self._answer
        if answer is None:
            return None
        if answer.end_ns is not None:
            return answer.end_ns
        last_ns = answer.ahead[-1].due_ns if answer.ahead else answer.begin_ns
        return max(answer.begin_ns, last_ns - AHEAD_NS)

    def _forget_ns(self) -> int | None:
        if self._stream is None or self._answer is not None or self._damper.held:
            return None
        return self._active_ns + round(self._settings.forget_s * NS)

    def _settle(self, time_ns: int) -> None:
        """Decide first what was to be decided before an event: a late thread decides as a prompt one would."""
        if (due := self._tick_ends_ns()) is not None and due < time_ns:
            self._end_tick()
        if self._hand_over is None and (due := self._turn_ends_ns()) is not None and due < time_ns:
            self._phrase_over(due)

    # What is heard

    def _hear(self, event: Heard) -> list[Played]:
        if isinstance(event, Ask):
            return self._ask(event)
        if isinstance(event, Retime):
            self._timeline = event.timeline
            return []
        if isinstance(event, InputLost):
            self._take(self._damper.lift(event.time_ns))
            self._listener.changed(event.time_ns, held=False)
            return []
        if not self._damper.moves(event):
            return []
        self._active_ns = event.time_ns
        played: list[Played] = []
        if isinstance(event, NoteOn):
            if self._timeline is None:
                self._timeline = self._first_timeline(event.time_ns)
            if self._answer is not None or self._hand_over is not None:
                played = self._yield(event.time_ns)
        self._take(self._damper.hear(event))
        if isinstance(event, NoteOn):
            self._listener.note(event.time_ns, event.pitch, self._damper.voices)
        self._listener.changed(event.time_ns, self._damper.held)
        return played

    def _first_timeline(self, time_ns: int) -> Timeline:
        bpm = self._settings.bpm
        return Timeline(bpm or FREE_BPM, origin_ns=time_ns, metric=bpm is not None)

    def _take(self, sounding: list[Sounding]) -> None:
        for event in sounding:
            if self._timeline is not None:
                self._unread.extend(self._quantiser.add(self._tick(event.time_ns), event))

    def _tick(self, time_ns: int) -> int:
        assert self._timeline is not None
        return max(self._timeline.tick(time_ns), self._floor)

    # Whose turn it is

    def _ask(self, ask: Ask) -> list[Played]:
        if self._answer is not None or self._hand_over is not None:
            return self._yield(ask.time_ns)
        phrase = self._listener.phrase()
        length_ns = ask.length_ns or ask.like_ns or (phrase.length_ns if phrase else 0) or UNKNOWN_LENGTH_NS
        self._give_turn(ask.time_ns, length_ns, exact=ask.length_ns is not None, notes=ask.notes)
        return []

    def _phrase_over(self, now: int) -> None:
        phrase = self._listener.phrase()
        assert phrase is not None  # only a phrase has a deadline
        if self._listener.deserves_answer(phrase):
            self._give_turn(now, phrase.length_ns)
        else:
            self._take(self._damper.waive(now))
            self._listener.begin()

    def _give_turn(self, now: int, length_ns: int, exact: bool = False, notes: int | None = None) -> None:
        """What the player still holds counts as released: his later note-offs change nothing."""
        if self._timeline is None:
            self._timeline = self._first_timeline(now)
        self._take(self._damper.waive(now))
        self._unread.extend(self._quantiser.close(self._tick(now) + 2))
        if self._unread:
            self._floor = max(self._floor, self._unread[-1].tick)
        longest_ns = round(self._settings.longest_answer_s * NS)
        manner = Manner.of(self._listener.phrase())
        self._hand_over = _HandOver(now, length_ns if exact else min(length_ns, longest_ns), manner, exact, notes)
        self._listener.begin()

    def _begin_answer(self, turn: _HandOver) -> list[Played]:
        """The first note: its `dt` is the silence that really passed, only pitch and velocity are drawn."""
        assert self._timeline is not None
        self._hand_over = None
        tick = self._tick(turn.time_ns)
        stream = self._stream or self._reader.start(tick, self._timeline)
        tick = max(tick, stream.last.tick)
        self._reader.reseed((self._settings.seed, self.answers))
        begin_ns = turn.time_ns + (LEAD_NS if self._settings.listens_for_the_end else 0)
        self._answer = Answer(begin_ns, turn.manner, turn.length_ns, turn.exact, turn.notes)
        self._offset_ns = begin_ns - self._timeline.time_ns(tick)
        self.answers += 1
        silence = tick - stream.last.tick
        limits = Limits(silence, silence, off=False, pitches=self._answer.pitches)
        token = self._reader.draw(stream, limits, self._timeline)
        return self._play(self._answer, stream, token)

    def _yield(self, time_ns: int) -> list[Played]:
        """Give the turn back: what is due later never happens, what sounds is released."""
        answer, self._answer, self._hand_over = self._answer, None, None
        if answer is None:
            return []
        self._stream = answer.rewind(time_ns) or self._stream
        self._rest_after_answer(time_ns)
        assert self._stream is not None
        self._take([NoteOff(time_ns, int(pitch)) for pitch in np.flatnonzero(self._stream.held)])
        return [Yield(time_ns)]

    def _rest_after_answer(self, time_ns: int) -> None:
        assert self._stream is not None
        self._floor = self._stream.last.tick + 1
        self._active_ns = time_ns
        self._listener.begin()

    # What is due

    def _advance(self, now: int) -> list[Played]:
        if self._unread:
            assert self._timeline is not None
            self._stream = self._reader.feed(self._stream, self._unread.popleft(), self._timeline)
        elif self._hand_over is not None:
            return self._begin_answer(self._hand_over)
        elif now == self._tick_ends_ns():
            self._end_tick()
        elif now == self._turn_ends_ns():
            self._phrase_over(now)
        elif self._answer is not None:
            return self._plan(self._answer, now)
        else:
            self._forget()
        return []

    def _end_tick(self) -> None:
        assert self._quantiser.tick is not None
        self._floor = self._quantiser.tick + 1
        self._unread.extend(self._quantiser.close(self._floor))

    def _forget(self) -> None:
        self._stream = None

    # What is played

    def _plan(self, answer: Answer[Stream], now: int) -> list[Played]:
        """Decide one more event, or that the answer is over."""
        stream, timeline = self._stream, self._timeline
        assert stream is not None and timeline is not None
        if answer.end_ns is not None:
            self._answer = None
            self._rest_after_answer(answer.end_ns)
            return []
        answer.forget_before(now - KEPT_NS)
        if answer.closing:
            return self._close(answer, stream)
        limits = self._limits(answer, stream, timeline)
        token = self._reader.draw(stream, limits, timeline)
        if limits.on and token.what >= codec.OFF and token.tick - stream.last.tick >= limits.most:
            token = self._reader.draw(stream, limits._replace(least=limits.most, off=False), timeline)
        ends_before = answer.ends_before if token.what < codec.OFF else answer.ends_before_release
        if ends_before(self._due_ns(token)):
            answer.closing = True
            return self._close(answer, stream)
        return self._play(answer, stream, token)

    def _limits(self, answer: Answer[Stream], stream: Stream, timeline: Timeline) -> Limits:
        """What may come next in an answer in the player's manner."""
        from_tick, to_tick, rest_tick = (
            timeline.tick(time_ns - self._offset_ns) - stream.last.tick
            for time_ns in (*answer.hurry_ns, answer.rest_by_ns)
        )
        if self._due_ns(stream.last._replace(tick=stream.last.tick + from_tick)) > answer.hurry_ns[0]:
            from_tick -= 1  # rounded up, out of the chord
        thin = int(stream.held.sum()) < answer.most_voices
        gap = (max(0, from_tick + 1) if thin else 0, to_tick)
        return Limits(most=max(0, rest_tick), gap=gap if gap[0] < gap[1] else (0, 0), on=thin, pitches=answer.pitches)

    def _close(self, answer: Answer[Stream], stream: Stream) -> list[Played]:
        """Only note-offs are left to play."""
        assert self._timeline is not None
        sounding = np.flatnonzero(stream.held)
        if not len(sounding):
            last_ns = self._due_ns(stream.last)
            answer.end_ns = max(last_ns, answer.begin_ns)
            return []
        left = self._timeline.tick(answer.close_by_ns - self._offset_ns) - stream.last.tick
        if left > 1:
            return self._play(answer, stream, self._reader.draw(stream, Limits(0, left, on=False), self._timeline))
        wait = max(0, left)
        fitting = np.flatnonzero(codec.allowed(stream.held, stream.last.what, wait)[codec.OFF :])
        if not len(fitting):  # within a tick note-offs come first, and upwards
            wait, fitting = wait + 1, sounding
        token = Token(stream.last.tick + wait, codec.OFF + int(fitting[0]), codec.NO_VELOCITY)
        return self._play(answer, stream, token)

    def _due_ns(self, token: Token) -> int:
        assert self._timeline is not None
        return self._timeline.time_ns(token.tick) + self._offset_ns

    def _play(self, answer: Answer[Stream], stream: Stream, token: Token) -> list[Played]:
        """The network hears what it plays, at once; the world hears it when it is due."""
        assert self._timeline is not None
        due_ns = self._due_ns(token)
        answer.ahead.append(Planned(due_ns, stream))
        self._stream = self._reader.feed(stream, token, self._timeline)
        pitch = token.what % codec.PITCHES
        if token.what >= codec.OFF:
            return [NoteOff(due_ns, pitch)]
        answer.strike(due_ns)
        return [NoteOn(due_ns, pitch, codec.velocity_of(token.velocity))]
