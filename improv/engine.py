"""The improviser itself: heard events in, played events out. No port, no thread, no clock.

    step(now, event) -> events to play, each with the time it is due
    deadline()       -> when to call `step` next if nothing is heard; None: not before then
    silence(now)     -> what to send to fall silent at once

Times are integer nanoseconds of one monotonic clock. What is decided depends on the stamps of the
events and on nominal deadlines, never on when `step` was called, so a list of events always gives
the same answer. A call takes at most one step of the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import itemgetter
from typing import NamedTuple

from improv.improviser import Improviser
from improv.music import scale
from improv.music.answer import Turn
from improv.music.conductor import Change, Conductor
from improv.music.cue import Cue
from improv.music.damper import Sounding
from improv.music.ear import Ear
from improv.music.events import (
    AnotherTake,
    Ask,
    Beat,
    ForgetMe,
    Freeze,
    Halt,
    Heard,
    InputLost,
    Late,
    LoopThat,
    Mark,
    Mute,
    NoteOff,
    NoteOn,
    OutLatency,
    Panic,
    Pedal,
    Played,
    Retime,
    SetMode,
    Steer,
    Undo,
    VaryThat,
)
from improv.music.musicianship import Musicianship
from improv.music.mute import Muting
from improv.music.scale import Scale
from improv.music.steering import INFERRED, Steering, turned
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from improv.music.trade import Trade
from improv.music.turns import Phrase
from improv.net.stream import Net
from improv.takes import Again

Act = Callable[[int], list[Played]]

RELEASE_NS = 50_000_000  # what sounds when the player comes in overlaps with his note by so much, as in legato


class Due(NamedTuple):
    """What is to be done when nothing is heard before."""

    time_ns: int
    act: Act


class Broken(NamedTuple):
    """An answer that the player broke off: to what, and how much of it was left."""

    again: Again
    left_ns: int


class Engine:
    def __init__(self, net: Net, musicianship: Musicianship = Musicianship(), remembered: bytes = b"") -> None:
        """`remembered` is what another session's memory held (`remembered`)."""
        self._settings = musicianship
        time = musicianship.time
        self._conductor = Conductor(time.source, time.bpm, time.metre, time.offset_ns)
        live, longest_ns = musicianship.listens_for_the_end, round(musicianship.belts.longest_answer_s * NS)
        self._cue = Cue(time.enter, time.grid, live, longest_ns, musicianship.out_latency_ns)
        self._mode = time.mode
        self._trade = self._trade_in(self._mode)
        self._mute = Muting()
        self._ear = Ear(musicianship)
        self._improviser = Improviser(net, musicianship, remembered)
        self._improviser.beside = self._beside
        self._steer(musicianship.steering)
        self._asked: Ask | Again | None = None
        self._next_turn: Again | None = None  # asked for as well, but not before the answer is over
        self._chord_until_ns = 0  # who asks with his last chord may be late with some of it
        self._broken: Broken | None = None
        self._goes_on = False  # when it is no longer muted
        self._now = 0
        self._since_ns = 0  # nothing more is decided for before then

    def step(self, now: int, event: Heard | None = None) -> list[Played]:
        """Take one event, or do the one thing that is due."""
        self._now = now
        if event is not None:
            # These are of the outlet, which is a latency ahead.
            settled = [] if isinstance(event, Late) else self._settle(event.time_ns)
            return [*settled, *self._hear(event)]
        due = self._next()
        return due.act(due.time_ns) if due is not None and due.time_ns <= now else []

    def silence(self, now: int) -> list[Played]:
        """Nothing that is sent is heard now: stop playing and forget what was planned."""
        self._now = now
        return self._interrupt(now)

    def remembered(self) -> bytes:
        """What the memory holds when a session is over: nothing more can be said of the last exchange."""
        return self._improviser.remembered()

    @property
    def resting(self) -> bool:
        """Whether there is nothing to read, to decide or to play."""
        return not (self._improviser.unread or self._asked is not None or self.playing)

    @property
    def steering(self) -> Steering:
        """Where all knobs stand."""
        return self._steering

    @property
    def playing(self) -> bool:
        """Whether the machine has the turn."""
        return self._improviser.playing or self._improviser.looping

    @property
    def in_phrase(self) -> bool:
        """Whether the player has begun a phrase that is not over."""
        return self._ear.phrase is not None

    @property
    def exchanged(self) -> bool:
        """Whether there is a last phrase with an answer, to be found good or bad."""
        return self._improviser.exchanged

    @property
    def answers(self) -> int:
        """How many were decided."""
        return self._improviser.answers

    @property
    def mode(self) -> str:
        """How turns are taken now, one of `turns.MODES`."""
        return self._mode

    @property
    def muted(self) -> bool:
        return self._mute.on

    @property
    def looping(self) -> bool:
        return self._improviser.looping

    @property
    def freezing(self) -> bool:
        return self._improviser.freezing

    @property
    def line(self) -> Timeline | None:
        """The timeline in force; None until something was heard."""
        return self._conductor.line

    @property
    def _line(self) -> Timeline:
        """The same, where something was heard."""
        line = self._conductor.line
        assert line is not None
        return line

    @property
    def _beside(self) -> bool:
        """Whether it plays while the player does, without yielding to him."""
        return self._mode in ("duet", "continue")

    # What is due

    def deadline(self) -> int | None:
        """When something is to be done if nothing is heard; `now` while the network has work."""
        due = self._next()
        return None if due is None else due.time_ns

    def _next(self) -> Due | None:
        """Of what is due: decisions first, for the network may have more to do than it has time."""
        decision = _first(*self._decisions(), (self._conductor.deadline(), self._lose_clock))
        if decision is not None and decision.time_ns <= self._now:
            return decision
        if self._improviser.unread:
            return Due(self._now, self._read)
        if self._improviser.decided:
            return Due(self._now, self._begin_answer)
        plan = None if self.line is None else self._improviser.plan_due_ns(self.line), self._plan
        return _first(plan) if decision is None else _first(decision, plan)

    def _decisions(self) -> tuple[tuple[int | None, Act], ...]:
        """What is decided when its time has come, without a step of the network."""
        line, improviser = self.line, self._improviser
        if line is None:
            return ()
        return (
            (improviser.tick_ends_ns(line), self._end_tick),
            (self._turn_ends_ns(line), self._turn_over),
            (self._joins_ns(line), self._join),
            (improviser.over_ns(line), self._answer_over),
            (self._bars_end_ns(line), self._bars_over),
            (improviser.loop_due_ns(line), self._loop_on),
            (self._mute.deadline(line), self._change_mute),
            (self._forget_ns(line), self._forget),
        )

    def _settle(self, time_ns: int) -> list[Played]:
        """Decide first what was to be decided before an event: a late thread decides as a prompt one would."""
        played: list[Played] = []
        while (due := _first(*self._decisions())) is not None and due.time_ns < time_ns:
            played += due.act(due.time_ns)
        self._since_ns = time_ns
        return played

    def _turn_ends_ns(self, line: Timeline) -> int | None:
        """When the player's turn is over if he plays nothing more."""
        if self._mode == "duet":
            return self._ear.over_ns()
        if self.playing:
            return None
        if self._asked is not None:
            return self._cue.decision_ns(max(self._asked.time_ns, self._since_ns), line)
        if not self._settings.listens_for_the_end:
            return None
        end_beat = self._trade.end_beat(line)
        if end_beat is not None:
            return max(self._cue.before_ns(end_beat, line), self._since_ns)
        silent_ns = self._ear.over_ns(interrupts=self._broken is not None)
        return None if silent_ns is None else self._cue.decision_ns(max(silent_ns, self._since_ns), line)

    def _joins_ns(self, line: Timeline) -> int | None:
        """When the machine comes in beside the player."""
        if self._mode != "duet" or self._improviser.playing or self._mute.on:
            return None
        from_ns = self._ear.joins_ns if self._asked is None else self._asked.time_ns
        return None if from_ns is None else self._cue.decision_ns(max(from_ns, self._since_ns), line)

    def _bars_end_ns(self, line: Timeline) -> int | None:
        """When the bars are over that the machine was given, a tick before the line: its own is the next bar's."""
        end_beat = self._trade.end_beat(line) if self._trade.machine_plays else None
        return None if end_beat is None else line.time_ns(end_beat * TICKS_PER_BEAT - 1)

    def _forget_ns(self, line: Timeline) -> int | None:
        improviser = self._improviser
        if not improviser.knows or improviser.freezing or improviser.tick_ends_ns(line) is not None:
            return None
        if not self.resting or self._ear.holds:
            return None
        return max(self._ear.active_ns, improviser.rested_ns) + round(self._settings.forget_s * NS)

    # What is heard

    def _hear(self, event: Heard) -> list[Played]:
        match event:
            case NoteOn():
                return self._hear_note(event)
            case NoteOff() | Pedal():
                self._take(self._ear.hear(event, self._position(event.time_ns)))
            case InputLost(time_ns):
                self._take(self._ear.lift(time_ns, self._position(time_ns)))
            case Ask():
                return self._ask(event)
            case Panic(time_ns):
                return self._panic(time_ns)
            case Late():
                return self._late(event)
            case SetMode(time_ns, mode):
                return self._set_mode(time_ns, mode)
            case Halt(time_ns):
                return self._halt(time_ns)
            case Mute(time_ns):
                return self._mute_changed(time_ns) if self._mute.press(time_ns, self.line) else []
            case Steer(_, knob, value):
                self._steer(turned(self._steering, knob, value))
            case ForgetMe(time_ns):
                return self._forget_me(time_ns)
            case AnotherTake(time_ns):
                return self._another(time_ns)
            case Undo(time_ns):
                return self._undo(time_ns)
            case Freeze():
                self._improviser.freeze(in_phrase=self.in_phrase)
            case LoopThat(time_ns):
                return self._loop_that(time_ns)
            case VaryThat(time_ns):
                return self._vary_that(time_ns)
            case Mark(_, good):
                self._improviser.mark(good)
            case OutLatency(_, latency_ns):
                self._cue.latency_ns = self._improviser.latency_ns = latency_ns
                return [event]
            case _:
                return self._hear_beat(event)
        return []

    def _hear_note(self, note: NoteOn) -> list[Played]:
        played = self._begin_time(note.time_ns)
        improviser = self._improviser
        if improviser.playing and not (self._trade.machine_plays or improviser.looping or self._beside):
            if note.time_ns <= self._chord_until_ns:
                self._take(self._ear.hear(note, self._position(note.time_ns)))
                self._follow_key()
                return played
            broken = self._broken_off(note.time_ns)
            played += self._yield(note.time_ns, release_ns=RELEASE_NS)
            self._broken = broken
            self._ear.resume(note.time_ns)
        line = self._line
        if self._trade.hears(line, note.time_ns) and not (improviser.playing and improviser.looping):
            if isinstance(self._asked, Again):
                self._asked = None
            if not improviser.playing and not self.in_phrase:
                self._take(self._ear.damp(note.time_ns))
                improviser.begin_phrase(note.time_ns, line)
            self._take(self._ear.note(note, line.position(note.time_ns)))
            self._follow_key()
        return played

    def _broken_off(self, time_ns: int) -> Broken | None:
        """What is left of the answer, where it is more than a note."""
        answer, again, line = self._improviser.answer, self._improviser.again, self.line
        if answer is None or again is None or line is None:
            return None
        left_ns = line.time_ns(answer.turn.end) - time_ns
        return Broken(again, left_ns) if left_ns > answer.turn.manner.spacing_ns else None

    def _position(self, time_ns: int) -> float:
        return 0.0 if self.line is None else self.line.position(time_ns)

    def _follow_key(self) -> None:
        if self._steering.key == INFERRED:
            self._steer(self._steering)

    def _take(self, sounding: list[Sounding]) -> None:
        self._improviser.take(sounding, self.line)

    def _read(self, now: int) -> list[Played]:
        return self._improviser.read(self._line, self._zone)

    @property
    def _zone(self) -> tuple[int, int] | None:
        """Where it plays beside the player; None: wherever it likes."""
        return self._ear.room if self._mode == "duet" else None

    def _end_tick(self, now: int) -> list[Played]:
        self._improviser.end_tick()
        return []

    def _forget(self, now: int) -> list[Played]:
        self._improviser.forget()
        return []

    def _steer(self, steering: Steering) -> None:
        self._steering = steering
        self._improviser.steer(steering, self._scale())

    def _scale(self) -> Scale | None:
        """To which its notes are to belong."""
        key = self._steering.key
        if key == INFERRED:
            return self._ear.scale
        return None if key is None else scale.named(key)

    # The beat

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
        played: list[Played] = []
        if change.broken:
            played += self._yield(time_ns, before)
            if not change.line.metric:  # the transport stands: what the player began is over, unanswered
                self._begin_phrase(time_ns)
        return [*played, Retime(time_ns, change.line, change.broken)]

    def _lose_clock(self, now: int) -> list[Played]:
        notice = self._conductor.due(now)
        return [] if notice is None else [notice]

    # Whose turn it is

    def _ask(self, ask: Ask) -> list[Played]:
        if self.playing or self._asked is not None:
            self._drop_phrase(ask.time_ns)
            return self._yield(ask.time_ns)
        if self._mute.on:
            return []
        self._trade.lapse()
        self._asked = ask
        return self._begin_time(ask.time_ns)

    def _panic(self, time_ns: int) -> list[Played]:
        """Whatever was under way is over, on both sides."""
        self._take(self._ear.lift(time_ns, self._position(time_ns)))
        self._drop_phrase(time_ns)
        return self._yield(time_ns)

    def _turn_over(self, now: int) -> list[Played]:
        """The player's turn is over: because he fell silent, because he asked, or because his bars are."""
        if self._mode == "duet":
            return self._fall_out(now)
        ask, self._asked = self._asked, None
        broken, self._broken = self._broken if self._ear.brushed else None, None
        phrase, line = self._ear.phrase, self._line
        self._chord_until_ns = self._ear.chord_until_ns
        self._begin_phrase(now)
        again = ask if isinstance(ask, Again) else Again(now, phrase)
        turn: Turn | None = None
        if isinstance(ask, Again):
            turn = self._turn_again(now, again, line)
        elif ask is None and self._trade.end_beat(line) is not None:
            turn = self._trade_turn(now, phrase, line)
        elif ask is not None or (phrase is not None and self._ear.deserves_answer(phrase)):
            turn = self._cue.turn(now, phrase, ask or Ask(now), line, self._steering.length)
            turn = turn.endless() if self._mode == "continue" else turn
        elif broken is not None:  # by a brush of the keys: it goes on
            again = broken.again
            turn = self._cue.turn(now, again.phrase, Ask(now, like_ns=broken.left_ns), line)
        if turn is not None and not self._mute.on:
            self._improviser.decide(turn, again, now, line)
        return []

    def _begin_phrase(self, now: int) -> None:
        self._take(self._ear.begin_phrase(now))

    def _drop_phrase(self, now: int) -> None:
        """The player's phrase gets no answer. In a duet it is not over before he falls silent."""
        if self._mode == "duet":
            self._ear.sit_out()
        else:
            self._begin_phrase(now)

    def _trade_turn(self, now: int, phrase: Phrase | None, line: Timeline) -> Turn | None:
        """The machine's bars; None: the player was silent in his."""
        begin_beat = self._trade.end_beat(line)
        assert begin_beat is not None
        end_beat = self._trade.hand_over(line)
        turn = None if phrase is None else self._cue.bars(now, begin_beat, end_beat, phrase, line)
        if turn is None:
            self._trade.lapse()
        return turn

    def _turn_again(self, now: int, again: Again, line: Timeline) -> Turn | None:
        """Another take. Where bars are traded it has what is left of the machine's; None: no beat is left."""
        end_beat, turn = self._trade.end_beat(line), None
        if not self._trade.machine_plays or end_beat is None:
            self._trade.lapse()
            turn = self._cue.turn(now, again.phrase, Ask(now), line, self._steering.length)
        elif again.phrase is not None:
            turn = self._cue.bars(now, -math.inf, end_beat, again.phrase, line)
        if turn is None:
            self._trade.lapse()
        return turn and turn._replace(varies=again.varies)

    # Beside the player

    def _trade_in(self, mode: str) -> Trade:
        return Trade(self._settings.time.bars if mode == "trade" else None)

    def _set_mode(self, time_ns: int, mode: str) -> list[Played]:
        """Turns are taken anew; what was under way is over. The mode that is on already changes nothing."""
        if mode == self._mode:
            return []
        played = self._yield(time_ns)
        self._mode, self._trade = mode, self._trade_in(mode)
        self._improviser.beside = self._beside
        self._begin_phrase(time_ns)
        return played

    def _halt(self, time_ns: int) -> list[Played]:
        self._drop_phrase(time_ns)
        return self._yield(time_ns)

    def _change_mute(self, now: int) -> list[Played]:
        self._mute.change()
        return self._mute_changed(now)

    def _mute_changed(self, now: int) -> list[Played]:
        """The mute is on or off now. What goes on until it is stopped goes on after it."""
        if self._mute.on:
            goes_on, played = self._endless, self._yield(now)
            self._goes_on = goes_on
            return played
        if self._goes_on:
            self._asked = Ask(now)
        return []

    def _fall_out(self, now: int) -> list[Played]:
        """The player has fallen silent: what is planned is the end."""
        self._begin_phrase(now)
        self._improviser.close()
        return []

    def _join(self, now: int) -> list[Played]:
        """The machine comes in beside the player."""
        line, phrase = self._line, self._ear.phrase
        self._asked = None
        turn = self._cue.turn(now, phrase, Ask(now), line).endless()
        self._improviser.decide(turn, Again(now, phrase), now, line)
        return []

    # The answer

    def _begin_answer(self, now: int) -> list[Played]:
        return self._improviser.begin(self._line, self._zone)

    def _plan(self, now: int) -> list[Played]:
        return self._improviser.plan(now, self._line)

    def _answer_over(self, now: int) -> list[Played]:
        if self._improviser.silent:  # nothing is left for it beside the player: it waits for more of him
            self._ear.wait()
        self._improviser.end()
        if self._trade.machine_plays:
            self._trade.hand_over(self._line)
        self._rest(now)
        self._asked, self._next_turn = self._next_turn, None
        return []

    def _bars_over(self, now: int) -> list[Played]:
        """The player's bars begin on the line, though the answer was late and has not ended."""
        self._trade.hand_over(self._line)
        self._asked = None
        return self._break_off(now, self._line)

    def _late(self, late: Late) -> list[Played]:
        """The outlet could not keep to the plan. Its clock is ahead of ours by the latency."""
        if self.line is None or not self._improviser.lag(late, self.line):
            return []
        return self._interrupt(late.time_ns - self._cue.latency_ns)

    @property
    def _endless(self) -> bool:
        """Whether it plays on until it is stopped."""
        return self._mode == "continue" and self._improviser.playing

    def _interrupt(self, time_ns: int) -> list[Played]:
        """What plays ends; where it is endless it goes on all the same, anew."""
        endless, played = self._endless, self._yield(time_ns)
        self._asked = Ask(time_ns) if endless else None
        return played

    def _yield(self, time_ns: int, before: Timeline | None = None, release_ns: int = 0) -> list[Played]:
        """Give the turn back: what is due later never happens, what sounds is released."""
        self._asked = self._broken = None
        self._goes_on = False
        self._trade.lapse()
        return self._break_off(time_ns, before or self.line, release_ns)

    def _break_off(self, time_ns: int, line: Timeline | None, release_ns: int = 0) -> list[Played]:
        self._next_turn, answered = None, self._improviser.answer is not None
        played = self._improviser.break_off(time_ns, line, release_ns)
        if answered:
            self._rest(time_ns)
        else:
            self._improviser.hear_meanwhile(self.line, self.in_phrase)
        return played

    def _rest(self, time_ns: int) -> None:
        """The answer is over."""
        self._since_ns = time_ns
        self._improviser.rest(time_ns, self.line, self.in_phrase)

    # Takes

    @property
    def _again(self) -> Again | None:
        """What asks for another answer; None: the player has played since the last, or there is one to come."""
        return self._improviser.again if self._asked is None and not self.in_phrase else None

    def _another(self, time_ns: int) -> list[Played]:
        """The last answer never was; there will be another to the same phrase, with fresh dice. Beside the player, what
        is planned is planned anew.
        """
        if self._beside and self._improviser.answer is not None and self.line is not None:
            return self._improviser.renew(time_ns, self.line)
        again = self._again
        if again is None:
            return []
        played = self._break_off(time_ns, self.line, RELEASE_NS)
        self._begin_phrase(time_ns)
        self._improviser.take_back(time_ns, self.line)
        self._asked = again._replace(time_ns=time_ns)
        return played

    def _vary_that(self, time_ns: int) -> list[Played]:
        """Another answer varies the last one, as soon as that is over."""
        again = None if self._beside else self._again
        if again is None:
            return []
        played = self._break_off(time_ns, self.line, RELEASE_NS) if self._improviser.looping else []
        self._trade.lapse()
        again = again._replace(time_ns=time_ns, varies=True)
        self._asked, self._next_turn = (None, again) if self._improviser.playing else (again, None)
        return played

    def _loop_that(self, time_ns: int) -> list[Played]:
        """The last answer is played again and again, until this is pressed again. What the player plays over that is
        his next phrase, answered when the loop has ended.
        """
        if self._improviser.looping:
            return self._yield(time_ns, release_ns=RELEASE_NS)
        if self._asked is not None or self.line is None or self._beside:  # there is no last answer
            return []
        if self._mute.on:
            return []
        self._trade.lapse()
        self._next_turn = None
        return self._improviser.loop(time_ns, self.line)

    def _loop_on(self, now: int) -> list[Played]:
        return self._improviser.loop_on(self._line)

    def _undo(self, time_ns: int) -> list[Played]:
        played = self._end_all(time_ns)
        self._improviser.take_back(time_ns, self.line)
        return played

    def _forget_me(self, time_ns: int) -> list[Played]:
        played = self._end_all(time_ns)
        self._improviser.forget_all(time_ns, self.line)
        self._ear.forget()
        self._steer(self._steering)
        return played

    def _end_all(self, time_ns: int) -> list[Played]:
        """What plays ends, and what the player had begun gets no answer."""
        played = self._yield(time_ns)
        self._begin_phrase(time_ns)
        return played


def _first(*acts: tuple[int | None, Act]) -> Due | None:
    """What is due first; of what is due together, what is named first."""
    return min((Due(due_ns, act) for due_ns, act in acts if due_ns is not None), key=itemgetter(0), default=None)
