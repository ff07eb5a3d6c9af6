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

import numpy as np

from improv.music.answer import Manner, Turn
from improv.music.conductor import Change, Conductor
from improv.music.damper import Damper, Sounding
from improv.music.events import (
    Ask,
    Beat,
    Heard,
    InputLost,
    Late,
    NoteOff,
    NoteOn,
    OutLatency,
    Pedal,
    Played,
    Retime,
    TurnBegins,
    Yield,
)
from improv.music.grid import Grid
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from improv.music.trade import Trade
from improv.music.turns import Listener, Phrase, TurnRules
from improv.net import codec
from improv.net.codec import Token
from improv.net.sampler import Sampling
from improv.net.stream import UNKNOWN, Net, Reader
from improv.soloist import Soloist

LEAD_NS = 5_000_000  # live, an answer begins so long after it was decided: its first chord is then on time, whole
BEAT_LEAD_NS = 30_000_000  # the same before a beat or a bar line, where waiting costs nothing
GRACE_NS = 2_000_000  # a note may reach the engine so long after its stamp and still join its tick
UNKNOWN_LENGTH_NS = 4 * NS  # of an answer to nothing
BACKLOG = 1024  # tokens waiting to be read; a flood beyond that drops the oldest


@dataclass(frozen=True)
class Time:
    """Where the beat comes from, and how answers keep to it."""

    source: str = "internal"  # `internal`, `midi` or `link`
    bpm: float | None = None  # of the internal clock, from the first note on; None: free time
    metre: tuple[int, int] = (4, 4)
    offset_ns: int = 0  # the beat is so much later than the clock says
    enter: str = "beat"  # an answer begins on the next `bar` or `beat`, or `now`
    grid: Grid = field(default_factory=Grid)
    trade_bars: int | None = None  # trade so many bars; None: answer when a phrase is over


@dataclass(frozen=True)
class Musicianship:
    """Every musical setting of the engine."""

    sampling: Sampling = field(default_factory=Sampling)
    style: int = UNKNOWN  # what the network is told, as numbered in the codec
    turns: TurnRules = field(default_factory=TurnRules)
    time: Time = field(default_factory=Time)
    out_latency_ns: int = 0  # what is played is sent so much before its time
    longest_answer_s: float = 60.0
    forget_s: float = 30.0  # of silence, then the memory starts afresh
    listens_for_the_end: bool = True  # False: answers only when asked (`Ask`), and at once
    seed: int = 0


class Engine:
    def __init__(self, net: Net, musicianship: Musicianship = Musicianship()) -> None:
        self._settings = musicianship
        time = musicianship.time
        self._conductor = Conductor(time.source, time.bpm, time.metre, time.offset_ns)
        self._soloist = Soloist(Reader(net, musicianship.sampling, musicianship.style), time.grid)
        self._listener = Listener(musicianship.turns)
        self._damper = Damper()
        self._quantiser = codec.Quantiser()
        self._unread: deque[Token] = deque(maxlen=BACKLOG)
        self._across: set[int] = set()  # what the player holds that the network did not hear
        self._trade = Trade(time.trade_bars) if time.trade_bars is not None else None
        self._asked: Ask | None = None
        self._turn: Turn | None = None  # decided; it begins as soon as all that was heard is read
        self._decided_ns = 0
        self._out_latency_ns = musicianship.out_latency_ns
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
        return self._yield(now)

    @property
    def resting(self) -> bool:
        """Whether there is nothing to read, to decide or to play."""
        return not self._unread and self._asked is None and not self._playing

    @property
    def line(self) -> Timeline | None:
        """The timeline in force; None until something was heard."""
        return self._conductor.line

    @property
    def _playing(self) -> bool:
        return self._turn is not None or self._soloist.answer is not None

    def deadline(self) -> int | None:
        """When something is to be done if nothing is heard; `now` while the network has work."""
        if self._reads or self._turn:
            return self._now
        times = [
            self._tick_ends_ns(), self._turn_ends_ns(), self._plan_due_ns(), self._forget_ns(),
            self._conductor.deadline(),
        ]  # fmt: skip
        return min((time for time in times if time is not None), default=None)

    @property
    def _reads(self) -> bool:
        """Whether something waits to be read: not while an answer is planned, which is ahead of it."""
        return bool(self._unread) and self._soloist.answer is None

    def _tick_ends_ns(self) -> int | None:
        if self._quantiser.tick is None or self.line is None:
            return None
        return self.line.time_ns(self._quantiser.tick + 0.5) + GRACE_NS

    def _turn_ends_ns(self) -> int | None:
        """When the player's turn is over if he plays nothing more."""
        if self._playing:
            return None
        if self._asked is not None:
            return self._before_line_ns(self._asked.time_ns)
        if not self._settings.listens_for_the_end:
            return None
        line = self.line
        if self._trade is not None and line is not None and line.metric:
            end_beat = self._trade.turn_ends_beat
            return None if end_beat is None else line.time_ns(end_beat * TICKS_PER_BEAT) - self._lead_ns
        due_ns = self._listener.deadline()
        return None if due_ns is None else self._before_line_ns(due_ns)

    def _before_line_ns(self, time_ns: int) -> int:
        """The moment, at or after `time_ns`, at which an answer is to be decided: just before it may begin."""
        line, enter = self.line, self._settings.time.enter
        if line is None or not line.metric or enter == "now" or not self._settings.listens_for_the_end:
            return time_ns
        beats = line.bar_beats if enter == "bar" else line.pulse_beats
        begin_beat = line.line_at_or_after(line.beat(time_ns + self._lead_ns), beats)
        return max(time_ns, line.time_ns(begin_beat * TICKS_PER_BEAT) - self._lead_ns)

    @property
    def _lead_ns(self) -> int:
        """From the decision to the first note."""
        if not self._settings.listens_for_the_end:
            return 0
        waits = self.line is not None and self.line.metric and self._settings.time.enter != "now"
        return (BEAT_LEAD_NS if waits else LEAD_NS) + self._out_latency_ns

    def _plan_due_ns(self) -> int | None:
        if self._soloist.answer is None or self.line is None:
            return None
        return self._soloist.due_ns(self.line)

    def _forget_ns(self) -> int | None:
        if self._soloist.stream is None or self._soloist.answer is not None or self._damper.held:
            return None
        return self._active_ns + round(self._settings.forget_s * NS)

    def _settle(self, time_ns: int) -> None:
        """Decide first what was to be decided before an event: a late thread decides as a prompt one would."""
        if (due := self._tick_ends_ns()) is not None and due < time_ns:
            self._end_tick()
        if (due := self._turn_ends_ns()) is not None and due < time_ns:
            self._turn_over(due)

    # What is heard

    def _hear(self, event: Heard) -> list[Played]:
        if isinstance(event, NoteOn | NoteOff | Pedal):
            return self._hear_player(event) if self._damper.moves(event) else []
        if isinstance(event, Ask):
            return self._ask(event)
        if isinstance(event, InputLost):
            self._take(self._damper.lift(event.time_ns))
            self._listener.changed(event.time_ns, held=False)
            return []
        if isinstance(event, OutLatency):
            self._out_latency_ns = event.latency_ns
            return [event]
        if isinstance(event, Late):
            return self._late(event)
        return self._hear_beat(event)

    def _hear_player(self, event: NoteOn | NoteOff | Pedal) -> list[Played]:
        self._active_ns = event.time_ns
        played: list[Played] = []
        if isinstance(event, NoteOn):
            played += self._begin_time(event.time_ns)
            if self._interrupts(event.time_ns):
                played += self._yield(event.time_ns)
        self._take(self._damper.hear(event))
        if isinstance(event, NoteOn):
            self._note(event)
        self._listener.changed(event.time_ns, self._damper.held)
        return played

    def _note(self, note: NoteOn) -> None:
        line = self.line
        assert line is not None
        if note.pitch in self._across:
            return  # these are the machine's bars
        off_tick = line.position(note.time_ns) - line.tick(note.time_ns)
        self._listener.note(note.time_ns, note.pitch, self._damper.voices, off_tick)

    def _interrupts(self, time_ns: int) -> bool:
        """Whether a note of the player's takes the turn back: not where bars are traded."""
        return self._playing and not (self._trade is not None and self._trade.machine_plays)

    def _begin_time(self, time_ns: int) -> list[Played]:
        before = self.line
        change = self._conductor.begin(time_ns)
        return [] if change is None else self._change(change, time_ns, before)

    def _hear_beat(self, event: Beat) -> list[Played]:
        before = self.line
        played: list[Played] = []
        for item in self._conductor.hear(event):
            played += self._change(item, event.time_ns, before) if isinstance(item, Change) else [item]
        return played

    def _change(self, change: Change, time_ns: int, before: Timeline | None) -> list[Played]:
        """The beat has changed. Where it is broken, what was planned in it is not played."""
        retime = Retime(time_ns, change.line, change.broken)
        if not change.broken:
            return [retime]
        if self._quantiser.tick is not None:
            self._end_tick()
        if self._trade is not None:
            self._trade.lapse()
        played = self._yield(time_ns, before)
        if not change.line.metric:  # the transport stands: what the player began is over, unanswered
            self._take(self._damper.waive(time_ns))
            self._listener.begin()
        return [*played, retime]

    def _late(self, late: Late) -> list[Played]:
        if self._soloist.answer is None:
            return []
        if late.ended:
            return self._yield(late.time_ns)
        self._soloist.lag(late)
        return []

    def _take(self, sounding: list[Sounding]) -> None:
        for event in sounding:
            if self.line is not None and not self._muted(event):
                self._unread.extend(self._quantiser.add(self._tick(event.time_ns), event))

    def _muted(self, event: Sounding) -> bool:
        """Whether the network does not hear it: a note played across the machine's bars."""
        if isinstance(event, NoteOff):
            muted = event.pitch in self._across
            self._across.discard(event.pitch)
            return muted
        assert self.line is not None
        if self._trade is None or not self.line.metric or self._trade.hears(self.line, event.time_ns):
            return False
        self._across.add(event.pitch)
        return True

    def _tick(self, time_ns: int) -> int:
        assert self.line is not None
        return max(self.line.tick(time_ns), self._floor)

    # Whose turn it is

    def _ask(self, ask: Ask) -> list[Played]:
        if self._playing or self._asked is not None:
            return self._yield(ask.time_ns)
        played = self._begin_time(ask.time_ns)
        if self._trade is not None:
            self._trade.lapse()
        self._asked = ask
        if (due := self._turn_ends_ns()) is not None and due <= ask.time_ns:
            self._turn_over(ask.time_ns)
        return played

    def _turn_over(self, now: int) -> None:
        """The player's turn is over: because he fell silent, because he asked, or because his bars are."""
        ask, self._asked = self._asked, None
        phrase, line = self._listener.phrase(), self.line
        assert line is not None  # something was heard or asked for
        if ask is None and self._trade is not None and line.metric:
            self._hand_bars_over(now, phrase, line, self._trade)
        elif ask is not None or (phrase is not None and self._listener.deserves_answer(phrase)):
            self._give_turn(now, self._next_turn(now, phrase, ask, line))
        else:
            self._take(self._damper.waive(now))
            self._listener.begin()

    def _hand_bars_over(self, now: int, phrase: Phrase | None, line: Timeline, trade: Trade) -> None:
        if phrase is None:
            trade.lapse()
            return
        begin_beat = trade.turn_ends_beat
        assert begin_beat is not None
        self._give_turn(now, self._turn_in_beats(line, phrase, begin_beat, trade.hand_over(line)))

    def _next_turn(self, now: int, phrase: Phrase | None, ask: Ask | None, line: Timeline) -> Turn:
        """About as long as the phrase, unless something else was asked for."""
        ask = ask or Ask(now)
        like_ns = ask.like_ns or (phrase.length_ns if phrase else 0) or UNKNOWN_LENGTH_NS
        length_ns = ask.length_ns or min(like_ns, round(self._settings.longest_answer_s * NS))
        begin_ns = now + self._lead_ns
        if not line.metric:
            begin_tick = self._tick(now)
            off_tick = line.position(begin_ns) - begin_tick
        elif self._settings.listens_for_the_end and ask.length_ns is None and ask.notes is None:
            begin_beat = line.tick(begin_ns) / TICKS_PER_BEAT
            length_beats = length_ns * line.bpm / (60 * NS)
            return self._turn_in_beats(line, phrase, begin_beat, line.bar_line_near(begin_beat, length_beats))
        else:
            begin_tick, off_tick = line.tick(begin_ns), 0.0
        length_ticks = round(length_ns * line.ticks_per_s / NS)
        exact = ask.length_ns is not None
        return Turn(begin_tick, length_ticks, Manner.of(phrase), exact, ask.notes, off_tick, line.ticks_per_s)

    def _turn_in_beats(self, line: Timeline, phrase: Phrase | None, begin_beat: float, end_beat: float) -> Turn:
        """From a grid line to a bar line. Played loosely, it leans as the player does."""
        begin_tick = round(begin_beat * TICKS_PER_BEAT)
        length_ticks = round(end_beat * TICKS_PER_BEAT) - begin_tick
        manner = Manner.of(phrase)
        off_tick = 0.0 if self._settings.time.grid.strength else manner.lean_ticks
        return Turn(begin_tick, length_ticks, manner, exact=True, off_tick=off_tick, ticks_per_s=line.ticks_per_s)

    def _give_turn(self, now: int, turn: Turn) -> None:
        """What the player still holds counts as released: his later note-offs change nothing."""
        self._take(self._damper.waive(now))
        self._unread.extend(self._quantiser.close(self._tick(now) + 2))
        if self._unread:
            self._floor = max(self._floor, self._unread[-1].tick)
        self._turn, self._decided_ns = turn, now
        self._listener.begin()

    def _begin_answer(self, turn: Turn, line: Timeline) -> list[Played]:
        self._turn = None
        self.answers += 1
        return [TurnBegins(self._decided_ns), *self._soloist.begin(turn, (self._settings.seed, self.answers - 1), line)]

    def _yield(self, time_ns: int, before: Timeline | None = None) -> list[Played]:
        """Give the turn back: what is due later never happens, what sounds is released."""
        self._turn = self._asked = None
        if self._soloist.answer is None:
            return []
        line = before or self.line
        assert line is not None
        self._soloist.take_back(time_ns, line)
        self._rest_after_answer(time_ns)
        self._listener.begin()
        assert self._soloist.stream is not None
        self._take([NoteOff(time_ns, int(pitch)) for pitch in np.flatnonzero(self._soloist.stream.held)])
        return [Yield(time_ns)]

    def _rest_after_answer(self, time_ns: int) -> None:
        assert self._soloist.stream is not None
        self._floor = max(self._floor, self._soloist.stream.last.tick + 1)
        self._active_ns = time_ns

    # What is due

    def _advance(self, now: int) -> list[Played]:
        line, answer = self.line, self._soloist.answer
        if self._reads:
            assert line is not None
            self._soloist.hear(self._unread.popleft(), line)
        elif self._turn is not None:
            assert line is not None
            return self._begin_answer(self._turn, line)
        elif now == self._tick_ends_ns():
            self._end_tick()
        elif now == self._turn_ends_ns():
            self._turn_over(now)
        elif now == self._conductor.deadline():
            notice = self._conductor.due(now)
            return [] if notice is None else [notice]
        elif answer is not None:
            assert line is not None
            if answer.over is None:
                return [*self._soloist.plan(now, line)]
            self._answer_over(now, line)
        else:
            self._soloist.forget()
        return []

    def _answer_over(self, now: int, line: Timeline) -> None:
        self._soloist.answer = None
        self._rest_after_answer(now)
        if self._trade is not None and self._trade.machine_plays:
            self._trade.hand_over(line)  # what he played before the bar line is in his new phrase already
        else:
            self._listener.begin()

    def _end_tick(self) -> None:
        assert self._quantiser.tick is not None
        self._floor = max(self._floor, self._quantiser.tick + 1)
        self._unread.extend(self._quantiser.close(self._quantiser.tick + 1))
