"""The machine as a musician: what it hears, plays, plays again and takes back. Whose turn it is, `engine` says."""

from __future__ import annotations

from improv.music.answer import Answer, Turn
from improv.music.belts import Pace
from improv.music.cue import LEAD_NS
from improv.music.damper import Sounding
from improv.music.events import Late, NoteOff, Played, TurnBegins, Yield
from improv.music.looper import Looper
from improv.music.musicianship import Musicianship
from improv.music.scale import Scale
from improv.music.steering import Steering
from improv.music.timeline import TICKS_PER_BEAT, Timeline
from improv.net.hearing import Hearing
from improv.net.stream import Net, Reader
from improv.soloist import Soloist
from improv.takes import NOTHING, Again, Moment, Takes


class Improviser:
    def __init__(self, net: Net, musicianship: Musicianship, remembered: bytes) -> None:
        """`remembered` is what another session's memory held (`remembered`)."""
        pace = Pace(musicianship.belts.notes_per_s)
        self._seed = musicianship.seed
        self._soloist = Soloist(Reader(net, musicianship.steering, remembered), musicianship.belts, pace)
        self._looper = Looper(pace)
        self._hearing = Hearing()
        self._meanwhile: list[Sounding] = []  # what the network is to hear once its answer is over
        self._takes = Takes()
        self._turn: Turn | None = None  # decided; it begins as soon as all that was heard is read
        self._marks: list[bool] = []  # of the answer that has yet to begin
        self._decided_ns = 0
        self.latency_ns = musicianship.out_latency_ns  # what is played is sent so much before its time
        self.rested_ns = 0  # when an answer was last over
        self.answers = 0  # how many were decided

    @property
    def playing(self) -> bool:
        """Whether there is an answer, decided or under way."""
        return self._turn is not None or self._soloist.answer is not None

    @property
    def answer(self) -> Answer | None:
        """The one under way."""
        return self._soloist.answer

    @property
    def exchanged(self) -> bool:
        """Whether there is an answer to `mark`, decided or played."""
        return self._turn is not None or self._soloist.exchanged

    @property
    def silent(self) -> bool:
        """Whether nothing of the answer was struck."""
        return self._soloist.silent

    @property
    def looping(self) -> bool:
        """Whether an answer is played again and again, or is to be."""
        return self._looper.on

    @property
    def freezing(self) -> bool:
        return self._takes.freezing

    @property
    def again(self) -> Again | None:
        """What asks for another answer; None: there was none, or more was played since."""
        return self._takes.again

    @property
    def knows(self) -> bool:
        """Whether the network has read anything since it began, or began afresh."""
        return self._soloist.stream is not None

    @property
    def beside(self) -> bool:
        """Whether it plays while the player does."""
        return self._soloist.beside

    @beside.setter
    def beside(self, beside: bool) -> None:
        self._soloist.beside = beside

    def steer(self, steering: Steering, scale: Scale | None) -> None:
        self._soloist.steer(steering, scale)

    def remembered(self) -> bytes:
        """What the memory holds when a session is over: nothing more can be said of the last exchange."""
        return self._soloist.remembered()

    # What it hears

    def take(self, sounding: list[Sounding], line: Timeline | None) -> None:
        if self.playing and not self.beside:
            self._meanwhile += sounding
        elif line is not None:
            self._hearing.add(sounding, line)

    def tick_ends_ns(self, line: Timeline) -> int | None:
        """When all of a tick was heard."""
        return self._hearing.deadline(line)

    def end_tick(self) -> None:
        self._hearing.end_tick()

    @property
    def unread(self) -> bool:
        return self._soloist.unread or bool(self._hearing.unread)

    def read(self, line: Timeline, zone: tuple[int, int] | None) -> list[Played]:
        """One step of the network; or, while it plays beside the player, all that he did since takes its place. The
        `zone` is what he leaves to it then.
        """
        unread = self._hearing.unread
        if self.answer is not None and unread:
            if zone is not None:
                self._soloist.keep_to(zone)
            beside = [self._soloist.overhear(token, line, self.latency_ns) for token in unread]
            unread.clear()
            return [event for events in beside for event in events]
        if self._soloist.unread:
            return [*self._soloist.read_on(line, self.latency_ns)]
        self._soloist.hear(unread.popleft(), line)
        return []

    def forget(self) -> None:
        """The network starts afresh; what the player has played is remembered."""
        self._soloist.forget()

    def rest(self, time_ns: int, line: Timeline | None, in_phrase: bool) -> None:
        """The answer is over: the network hears that its notes end, and what the player did meanwhile."""
        self.rested_ns = time_ns
        self._hearing.end(self._soloist.last_tick)
        self.take([NoteOff(time_ns, pitch) for pitch in self._soloist.own], line)
        self.hear_meanwhile(line, in_phrase)

    def hear_meanwhile(self, line: Timeline | None, in_phrase: bool) -> None:
        """`in_phrase`: it is a phrase, or the beginning of one."""
        meanwhile, self._meanwhile = self._meanwhile, []
        if meanwhile and in_phrase:  # it begins with a pick-up
            self.begin_phrase(meanwhile[0].time_ns, line)
        self.take(meanwhile, line)

    # What it plays

    def decide(self, turn: Turn, again: Again, now: int, line: Timeline) -> None:
        """There is a turn to begin, when all that was heard by now is read."""
        self._turn = turn
        self._hearing.end_all(now, line)
        self._takes.begin_answer(self._moment(), again)
        self._decided_ns = now
        self.answers += 1

    @property
    def decided(self) -> bool:
        """Whether there is an answer to `begin`."""
        return self._turn is not None

    def begin(self, line: Timeline, zone: tuple[int, int] | None) -> list[Played]:
        turn, self._turn = self._turn, None
        assert turn is not None
        self._takes.read(self._soloist.known(), self._hearing.copy())
        played = self._soloist.begin(turn, self._dice, line, zone)
        for good in self._marks:
            self._soloist.mark(good)
        self._marks.clear()
        if self.beside:  # it is planned anew again and again: nothing to be looped
            self._looper.forget()
        else:
            self._looper.begin(turn, line)
            self._looper.add(played, line)
        return [TurnBegins(self._decided_ns, self.beside), *played]

    @property
    def _dice(self) -> tuple[int, int]:
        return self._seed, self.answers - 1

    def mark(self, good: bool) -> None:
        """Good or bad is the answer that was decided last, though it may not have begun."""
        if self._turn is None:
            self._soloist.mark(good)
        else:
            self._marks.append(good)

    def plan_due_ns(self, line: Timeline) -> int | None:
        due_ns = self._soloist.plan_due_ns(line)
        return None if due_ns is None else due_ns - self.latency_ns

    def plan(self, now: int, line: Timeline) -> list[Played]:
        played = self._soloist.plan(now, line)
        self._looper.add(played, line)
        return [*played, *self._start_loop(now, line)]

    def over_ns(self, line: Timeline) -> int | None:
        """When the answer has been played; None: that is not known yet."""
        return self._soloist.over_ns(line)

    def close(self) -> None:
        """What is planned is the end."""
        self._turn = None
        self._soloist.close()

    def end(self) -> None:
        """The answer has been played; `rest` follows."""
        self._soloist.end()

    def lag(self, late: Late, line: Timeline) -> bool:
        """The outlet could not keep to the plan. Gives whether that ends what is played."""
        plays = self.answer is not None or self._looper.started
        if not plays or late.turn_ns != self._decided_ns:
            return False
        self._looper.lag(line.ticks(late.shift_ns))
        if self.answer is not None:
            self._soloist.lag(late, line)
        return late.ended or (self.beside and self._soloist.lag_ticks > TICKS_PER_BEAT)

    def break_off(self, time_ns: int, line: Timeline | None, release_ns: int) -> list[Played]:
        """What is due later never happens, what sounds is released; where there was an answer, `rest` follows."""
        looped, from_ns = self._looper.started, time_ns + self.latency_ns
        self._turn = None
        self._marks.clear()
        self._looper.stop(from_ns)
        if self.answer is None:
            return [Yield(time_ns, release_ns)] if looped else []
        assert line is not None
        self._looper.cut(line.position(from_ns))
        self._soloist.take_back(from_ns, line)
        return [Yield(time_ns, release_ns)]

    # What it plays again

    def renew(self, time_ns: int, line: Timeline) -> list[Played]:
        """Beside the player: what is planned is planned anew, with fresh dice."""
        self.answers += 1
        return [*self._soloist.renew(time_ns, self._dice, line, self.latency_ns)]

    def loop(self, time_ns: int, line: Timeline) -> list[Played]:
        """The last answer is played again and again, as soon as it is planned, whole."""
        self._looper.press(time_ns + LEAD_NS + self.latency_ns)
        return self._start_loop(time_ns, line)

    def _start_loop(self, now: int, line: Timeline) -> list[Played]:
        if not self._looper.on or (self.playing and self._soloist.over_ns(line) is None):
            return []
        if not self._looper.start(line, self._soloist.lag_ticks if self.playing else None):
            return []
        self._decided_ns = now
        return [TurnBegins(now)]

    def loop_due_ns(self, line: Timeline) -> int | None:
        due_ns = self._looper.due_ns(line)
        return None if due_ns is None else due_ns - self.latency_ns

    def loop_on(self, line: Timeline) -> list[Played]:
        return [self._looper.play(line)]

    # What it takes back

    def begin_phrase(self, time_ns: int, line: Timeline | None) -> None:
        """A phrase of the player's begins."""
        here = self._moment()
        if (from_ := self._takes.begin_phrase(here)) is not here:
            self._return_to(from_, time_ns, line)

    def freeze(self, in_phrase: bool) -> None:
        self._takes.freeze(in_phrase)

    def take_back(self, time_ns: int, line: Timeline | None) -> None:
        """The last answer never was; or else the phrase before it."""
        self._looper.forget()
        if (moment := self._takes.undo()) is not None:
            self._return_to(moment, time_ns, line)

    def forget_all(self, time_ns: int, line: Timeline | None) -> None:
        """Nothing that was played is known any more."""
        self._looper.forget()
        self._takes.forget()
        self._return_to(Moment(NOTHING, Hearing()), time_ns, line)

    def _moment(self) -> Moment:
        return Moment(self._soloist.known(), self._hearing.copy())

    def _return_to(self, moment: Moment, time_ns: int, line: Timeline | None) -> None:
        """What sounded at that moment has ended since."""
        self._soloist.know(moment.known)
        self._hearing = moment.hearing.copy()
        self.take([NoteOff(time_ns, pitch) for pitch in sorted(moment.sounding)], line)
