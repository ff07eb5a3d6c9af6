"""Plays an answer: what the network draws next, within which limits, and where it sounds.

The network hears what it plays at once; the world hears it when it is due. Where it stood before
each event is kept (`Tape`), so that what has not sounded can be taken back, and what the player does
beside it takes its place among what is planned. On a grid an onset may sound a little sooner than it
was drawn: what is planned waits (`Sounds`) until nothing can come before it.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from itertools import islice
from statistics import median
from typing import NamedTuple

import numpy as np

from improv.exchange import Exchange
from improv.music.answer import Answer, Turn
from improv.music.belts import Belts, Pace
from improv.music.events import Late, NoteOff, NoteOn, Revise
from improv.music.scale import Scale
from improv.music.sounds import Sounds, Struck
from improv.music.steering import Steering
from improv.music.timeline import NS, ROUNDING, TICKS_PER_BEAT, Timeline
from improv.net import codec
from improv.net.codec import Token
from improv.net.memory import NO_RUNS, Memory
from improv.net.quote import Quote
from improv.net.stream import MACHINE, PLAYER, UNKNOWN, Limits, Reader, Stream
from improv.tape import Part, Tape

AHEAD_NS = NS // 2  # how far ahead of its time an answer is planned,
BESIDE_TICKS = TICKS_PER_BEAT * 9 // 8  # and what is played beside the player
PHRASE = 2048  # tokens of one that count
TOUCHES = 8  # of the last notes of what is answered, or of what he plays beside it: their median is his loudness
FAR = 1 << 62  # ticks
KEPT_NS = NS  # planned events stay revocable for so long after they were due
SURPRISE = 3.0  # nats: what the player does beside the machine and was likelier than this changes no plan
SETTLED_NS = 30_000_000  # what is to sound so soon after it stays as it is: it may have been sent

Planned = list[NoteOn | NoteOff | Revise]


class Overheard(NamedTuple):
    """The last event of the player's beside the answer: when it came, in ticks, and its place in the plan."""

    tick: int
    place: float


class Known(NamedTuple):
    """Where the network stands, what it has still to read, what it remembers, of which exchange it may still be told
    more, and what the player has played before and since. Never written to.
    """

    stream: Stream | None
    unread: tuple[Part, ...]
    memory: Memory
    exchange: Exchange | None
    heard_from: int
    model: tuple[Token, ...]
    heard: tuple[Token, ...]


class Soloist:
    def __init__(self, reader: Reader, belts: Belts, pace: Pace) -> None:
        self._reader, self._belts, self._pace = reader, belts, pace
        self._scale: Scale | None = None
        self._longest_note_ns = round(belts.longest_note_s * NS)
        self._velocities = codec.velocities_to(belts.loudest)
        self.stream: Stream | None = None
        self.answer: Answer | None = None
        self._exchange: Exchange | None = None  # the last one
        self._heard_from = 0  # what the memory keeps from there on, the player has played since
        self._heard: deque[Token] = deque(maxlen=PHRASE)  # the same, of which the last ones count
        self._model: tuple[Token, ...] = ()  # what is answered: the same at the last answer that had any
        self._theme: tuple[Token, ...] = ()  # what is quoted: that, or the answer that is varied
        self._quote: Quote | None = None  # of the theme, once something of it is to be quoted
        self._quote_tick = 0  # where it begins
        self.beside = False  # it is told who plays, and plans a beat ahead
        self._tape = Tape()
        self._sounds = Sounds(belts.voices)
        self._overheard: Overheard | None = None
        self._drawn_from = -math.inf  # the place before which nothing more is planned
        self.lag_ticks = 0.0  # how much later than planned the rest of the answer sounds,
        self._lags_from = math.inf  # from where it was planned on

    def hear(self, token: Token, line: Timeline) -> None:
        """The player has played `token`, or a note that the answer left is ended. There is no answer now."""
        stream = self.stream or self._reader.start(token.tick, line)
        fitted = _fitted(token, stream)
        if fitted is None:  # it struck what the answer still sounded, and is over with that
            self.stream = stream
        elif stream.own[fitted.what % codec.PITCHES]:
            if self._exchange is not None:
                self._exchange.answer.append(fitted)
            self.stream = self._reader.feed(stream, fitted, line, own=True, who=self._who(own=True))
        else:
            self._heard.append(fitted)
            self.stream = self._reader.hear(stream, fitted, line, self._who(own=False))

    def _who(self, own: bool) -> int:
        return (MACHINE if own else PLAYER) if self.beside else UNKNOWN

    def steer(self, steering: Steering, scale: Scale | None) -> None:
        """What is drawn from now on is drawn that way, in the scale if there is one."""
        self._reader.steer(steering)
        self._scale = scale
        self._quote = None
        if self.answer is not None:
            self.answer.steer(steering, scale)

    def known(self) -> Known:
        """All that it knows. Between answers."""
        exchange = self._exchange and self._exchange.copy()
        memory = copy.deepcopy(self._reader.memory)
        unread, heard = tuple(self._tape.ahead), tuple(self._heard)
        return Known(self.stream, unread, memory, exchange, self._heard_from, self._model, heard)

    def know(self, known: Known) -> None:
        """From now on it knows that, and nothing else. Between answers."""
        self.stream = known.stream
        self._tape.clear()
        self._tape.ahead = list(known.unread)
        self._exchange = known.exchange and known.exchange.copy()
        self._heard_from = known.heard_from
        self._model, self._heard = known.model, deque(known.heard, PHRASE)
        self._reader.recall(known.memory)

    def forget(self) -> None:
        """The network starts afresh; what the player has played is remembered."""
        self.stream = None
        self._heard.clear()

    @property
    def exchanged(self) -> bool:
        """Whether there is a last exchange."""
        return self._exchange is not None

    def mark(self, good: bool) -> None:
        """What the player thinks of the last exchange, so far: it counts when another one begins (`settle`)."""
        if self._exchange is not None:
            self._exchange.mark(good)

    def settle(self) -> None:
        """What the player thinks of the last exchange is heeded: what he likes is remembered once more, and lasts."""
        exchange, self._exchange = self._exchange, None
        if exchange is None or not exchange.regard:
            return
        memory = self._reader.memory
        if exchange.regard < 0:
            memory.regard(exchange.phrase, exchange.regard)
        else:
            runs = NO_RUNS if self.stream is None else self.stream.runs
            runs = memory.learn(runs, exchange.phrase, exchange.answer, exchange.regard)
            self.stream = self.stream and self.stream._replace(runs=runs)

    def remembered(self) -> bytes:
        """All of it (`Memory.remembered`)."""
        self.settle()
        return self._reader.memory.remembered()

    def _phrase(self) -> range:
        """What the memory keeps of what the player has played since the last answer began, or before that one."""
        kept = self._reader.memory.kept
        phrase = range(min(self._heard_from, kept), kept)
        return phrase if phrase or self._exchange is None else self._exchange.phrase

    @property
    def unread(self) -> bool:
        """Whether the network is to read on (`read_on`), before anything else."""
        return bool(self._tape.ahead)

    @property
    def own(self) -> list[int]:
        """The pitches it plays that sound, once all is read."""
        assert self.stream is not None
        own = set(np.flatnonzero(self.stream.own).tolist())
        for part in self._tape.ahead:
            if part.own:
                (own.add if part.on else own.discard)(part.pitch)
        return sorted(own)

    @property
    def last_tick(self) -> int:
        """Of all that the network has read, or is to read."""
        assert self.stream is not None
        return max([self.stream.last.tick, *(part.token.tick for part in self._tape.ahead)])

    def keep_to(self, zone: tuple[int, int]) -> None:
        """The lowest and the highest pitch of what is drawn from now on."""
        if self.answer is not None:
            self.answer.keep_within(zone)

    def begin(self, turn: Turn, dice: tuple[int, ...], line: Timeline, zone: tuple[int, int] | None = None) -> Planned:
        """The first note: its `dt` is the silence that really passed, only pitch and velocity are drawn. The pitches
        are of the zone, the lowest and the highest; None: about where the player's were.
        """
        phrase = self._phrase()
        varied = list(self._exchange.answer)[1:] if turn.varies and self._exchange is not None else []
        self.settle()
        self._heard_from = self._reader.memory.kept
        stream = self.stream or self._reader.start(round(turn.begin), line)
        self._exchange = Exchange(phrase, stream.last)
        self._model = tuple(self._heard) or self._model
        self._theme = tuple(varied) or self._model
        self._heard.clear()
        begin_tick = max(round(turn.begin), stream.last.tick)
        answer = self.answer = Answer(turn, begin_tick, self._belts, self._reader.steering, self._scale)
        answer.keep_to(line)
        if zone is not None:
            answer.keep_within(zone)
        self._reader.reseed(dice)
        self._sounds.clear()
        self._drawn_from = -math.inf
        self.lag_ticks, self._lags_from = 0.0, math.inf
        self._overheard = None
        self._tape.clear()
        tick = max(answer.begin_tick, self._begins_from(answer, 0, line))
        # The answer before may have been too fast to leave it any room, and the belts may hold no pitch of the scale.
        if answer.ends_before(tick, on=True) or not _free(answer, stream):
            answer.closing, self.stream = True, stream
            return []
        silence = tick - stream.last.tick
        self._quote, self._quote_tick = None, tick
        limits = Limits(
            silence,
            silence,
            off=False,
            pitches=answer.pitches,
            velocities=self._velocities,
            loudness=self._loudness(answer),
            quoted=self._quoted(answer, stream, on=True),
            variation=answer.steering.variation,
        )
        self._play(answer, stream, self._reader.draw(stream, limits, line), line)
        return self._ripe(answer, line)

    def plan_due_ns(self, line: Timeline) -> int | None:
        """When the plan runs short; None: it is whole."""
        if self.answer is None or self.answer.over is not None:
            return None
        ripe = self._ripe_by(self.answer) + self.lag_ticks
        return line.time_ns(ripe - BESIDE_TICKS) if self.beside else line.time_ns(ripe) - AHEAD_NS

    def plan(self, now: int, line: Timeline) -> Planned:
        """Decide one more event, or that no more will come. Gives what can sound no sooner any more."""
        answer, stream = self.answer, self.stream
        assert answer is not None and stream is not None
        self._tape.forget_before(line.position(now - KEPT_NS) - self.lag_ticks)
        self._pace.forget_before(now - KEPT_NS)
        answer.keep_to(line)
        sounding = np.flatnonzero(stream.own).tolist()
        whole = self._is_whole(answer, stream, sounding)
        token = None if answer.closing or whole else self._draw(answer, stream, sounding, line)
        if token is None or answer.ends_before(token.tick, token.what < codec.OFF):
            answer.closing = True
            token = self._draw_end(answer, stream, sounding, line)
        if token is None:
            answer.over = answer.turn.end if answer.turn.exact else self._last(answer)
        else:
            self._play(answer, stream, token, line)
        return self._ripe(answer, line)

    def _is_whole(self, answer: Answer, stream: Stream, sounding: list[int]) -> bool:
        """Whether there is nothing more to play: no pitch for it, or the phrase was quoted, and nothing else is."""
        if not sounding and not _free(answer, stream):
            return True
        quotes_only = answer.steering.variation == 0.0 and answer.may_end(stream.last.tick)
        return quotes_only and self._quoted(answer, stream, on=True) is None

    def over_ns(self, line: Timeline) -> int | None:
        """When the answer has been played; None: that is not known yet."""
        if self.answer is None or self.answer.over is None:
            return None
        return line.time_ns(self.answer.over + self.lag_ticks)

    def end(self) -> None:
        """The answer has been played."""
        self.answer = None

    @property
    def silent(self) -> bool:
        """Whether nothing of the answer was struck."""
        return self.answer is not None and not self.answer.onsets.notes

    def close(self) -> None:
        """Let the answer end: what is planned is played, and no more."""
        if self.answer is not None:
            self.answer.closing = True

    def take_back(self, time_ns: int, line: Timeline) -> None:
        """The answer ends: what would sound later never was."""
        answer, self.answer = self.answer, None
        assert answer is not None
        self._pace.take_back(time_ns)
        position = line.position(time_ns)
        sounded = max(position - self.lag_ticks, min(position, self._lags_from))
        self.stream = self._tape.wind_back(sounded) or self.stream
        self._never_was(self._tape.drop(sounded))

    def lag(self, late: Late, line: Timeline) -> None:
        """The rest of the answer sounds later."""
        self._lags_from = line.position(late.time_ns - late.late_ns) - self.lag_ticks - ROUNDING
        self.lag_ticks += line.ticks(late.shift_ns)

    # What the player does beside it

    def overhear(self, token: Token, line: Timeline, latency_ns: int) -> Planned:
        """The player has played `token` while the answer plays: it takes its place among what is planned.

        What sounds within a moment of it stays. The rest is planned anew where it comes as a surprise (`read_on`), or
        where he strikes what the machine plays: that ends.
        """
        answer = self.answer
        assert answer is not None
        position = self._place_of(token)
        part = Part(position, token._replace(tick=answer.tick_at(position)), own=False)
        settled = self._settled(position, line, latency_ns)
        self.stream = self._tape.insert(part, settled) or self.stream
        if not part.on:
            return []
        if self.beside and answer.turn.end == math.inf:
            answer.closing, answer.over = False, None  # he plays on, and so does the machine
        return self._make_way(part, settled, line)

    def _place_of(self, token: Token) -> float:
        """In the plan; where that has come to lag meanwhile, his events keep their order."""
        last, place = self._overheard, token.tick - self.lag_ticks
        if last is not None:
            place = max(place, last.place + min(1, token.tick - last.tick))
        self._overheard = Overheard(token.tick, place)
        return place

    def _settled(self, position: float, line: Timeline, latency_ns: int) -> float:
        """The place up to which the plan stands, when something is heard at another."""
        return position + line.ticks(SETTLED_NS + latency_ns)

    def _make_way(self, part: Part, settled: float, line: Timeline) -> Planned:
        """The player strikes a pitch: the machine leaves it alone."""
        assert self.stream is not None
        ahead = self._tape.ahead
        place = ahead.index(part)
        own = bool(self.stream.own[part.pitch])
        for before in ahead[:place]:
            own = before.on if before.own and before.pitch == part.pitch else own
        clashing = [later for later in ahead[place:] if later.own and later.pitch == part.pitch]
        if not own and not clashing:
            return []
        for later in reversed(clashing):
            ahead.remove(later)
            if later.on:
                self._sounds.strike_was(later.pitch, later.struck)
        self._never_was(clashing)
        self._sounds.drop_pitch(part.pitch)
        ahead[place] = part._replace(clashes=True)
        ended: Planned = [_revise_from(settled, line)]  # first: an end does not wait for what is dropped
        if own:
            ending = part.token._replace(what=codec.OFF + part.pitch, velocity=codec.NO_VELOCITY)
            ahead.insert(place, Part(part.position, ending, own=True))
        if own or any(later.on and later.position <= settled for later in clashing):  # that cannot be taken back
            ended.append(NoteOff(line.time_ns(settled), part.pitch))
        return ended

    def read_on(self, line: Timeline, latency_ns: int) -> Planned:
        """The network reads one event of what it was wound back from. Gives what that changes."""
        part = self._tape.ahead.pop(0)
        stream = self.stream or self._reader.start(part.token.tick, line)
        token = _fitted(part.token, stream)
        if token is None or (part.own and not part.on and not stream.own[part.pitch]):
            return []  # what ended already, or the player's own sounds there
        revised: Planned = []
        if part.own or part.known:
            after = self._reader.feed(stream, token, line, part.own, self._who(part.own))
        else:
            if self.answer is not None and part.on and self._surprises(part, token, stream, line):
                revised = self._revise(self.answer, part, self._settled(part.position, line, latency_ns), line)
            self._heard.append(token)
            after = self._reader.hear(stream, token, line, self._who(own=False))
        self._tape.add(part._replace(token=token, known=True), stream)
        self.stream = after
        return revised

    def _surprises(self, part: Part, token: Token, stream: Stream, line: Timeline) -> bool:
        return part.clashes or self._reader.surprise(stream, token, line) > SURPRISE

    def renew(self, time_ns: int, dice: tuple[int, ...], line: Timeline, latency_ns: int) -> Planned:
        """What was to sound later than a moment from now is planned anew, with other dice."""
        assert self.answer is not None
        settled = self._settled(line.position(time_ns) - self.lag_ticks, line, latency_ns)
        self.stream = self._tape.wind_back(settled) or self.stream
        self._reader.reseed(dice)
        self._drop(self.answer, settled, line)
        return [_revise_from(settled, line)]

    def _revise(self, answer: Answer, part: Part, settled: float, line: Timeline) -> Planned:
        """What was to sound later is planned anew, after what the player did."""
        dropped = self._drop(answer, settled, line)
        return [_revise_from(settled, line)] if dropped or part.clashes else []

    def _drop(self, answer: Answer, settled: float, line: Timeline) -> list[Part]:
        """The plan ends there, as if no more had been drawn. Gives what was."""
        dropped = self._tape.drop(settled)
        for later in reversed(dropped):
            if later.on:
                assert later.onsets is not None
                answer.onsets = later.onsets
                self._sounds.strike_was(later.pitch, later.struck)
        self._never_was(dropped)
        self._sounds.drop(settled)
        self._drawn_from = settled
        answer.over = None
        self._pace.take_back(line.time_ns(settled))
        return dropped

    def _never_was(self, dropped: list[Part]) -> None:
        if self._exchange is not None:
            self._exchange.take_back([part.token for part in dropped])

    # What is drawn

    def _draw(self, answer: Answer, stream: Stream, sounding: list[int], line: Timeline) -> Token:
        last = stream.last.tick
        left = self._ends_by(sounding, line) - last
        if left <= self._wait(answer, last):
            by = max(last, last + left)
            return self._end(stream, [pitch for pitch in sounding if self._ends_by([pitch], line) <= by], by - last)
        limits = self._limits(answer, stream, len(sounding), left, line)
        token = self._reader.draw(stream, limits, line)
        if limits.on and token.what >= codec.OFF and left > limits.most <= token.tick - last:
            token = self._reader.draw(stream, limits._replace(least=max(limits.least, limits.most), off=False), line)
        return token

    def _limits(self, answer: Answer, stream: Stream, voices: int, left: int, line: Timeline) -> Limits:
        """What may come next in an answer in the player's manner, while so many voices sound.

        One of them has to end in so many ticks. What is quoted of his phrase is in his manner, however it goes.
        """
        last = stream.last.tick
        chord, after = (tick - last for tick in answer.hurry)
        rest = answer.rest_by - last
        thin = voices < answer.most_voices and _free(answer, stream)
        quoted = self._quoted(answer, stream, thin)
        if quoted is not None:
            after, rest = min(after, quoted.tick), max(rest, quoted.tick + 1)
        begins_from = self._begins_from(answer, voices, line) - last
        chord = max(0, chord + 1) if thin and begins_from <= 0 else 0
        if chord >= after:
            chord = after = 0
        return Limits(
            least=self._wait(answer, last),
            most=min(max(0, rest, begins_from), left),
            chord=chord,
            on_from=max(after, begins_from),
            off_from=min(after, left),
            on=thin,
            off=voices > 0,
            pitches=answer.pitches,
            velocities=self._velocities,
            haste=answer.onsets.flow.haste(last, answer.steering.density, line),
            loudness=self._loudness(answer),
            quoted=quoted,
            variation=answer.steering.variation,
        )

    def _loudness(self, answer: Answer) -> float | None:
        """The bin of velocity that is to be followed; None: none is."""
        if not answer.steering.velocity_follow:
            return None
        touches = (token.velocity for token in reversed(self._heard or self._model) if token.what < codec.OFF)
        return median(last) if (last := [*islice(touches, TOUCHES)]) else None

    def _quoted(self, answer: Answer, stream: Stream, on: bool) -> Token | None:
        """What comes next in the theme, in so many ticks; None: nothing, or nothing is quoted, as beside the player."""
        if answer.steering.variation == 1.0 or not answer.pitches.any() or self.beside:
            return None
        if self._quote is None:
            above = 0 if answer.turn.varies else answer.steering.register
            self._quote = Quote(self._theme, answer.pitches, above)
        played = stream.last._replace(tick=stream.last.tick - self._quote_tick) if answer.onsets.notes else None
        token = self._quote.next(played, stream.held, on)
        return token and token._replace(tick=max(0, token.tick + self._quote_tick - stream.last.tick))

    def _wait(self, answer: Answer, last: int) -> int:
        """The ticks after the last one in which nothing more is planned."""
        return 0 if self._drawn_from == -math.inf else max(0, answer.tick_from(self._drawn_from) - last)

    def _begins_from(self, answer: Answer, voices: int, line: Timeline) -> int:
        """The first tick at which the belts let another note begin, while so many voices sound."""
        places = []
        if (next_ns := self._pace.next_ns()) is not None:
            places.append(line.position(next_ns))
        onset = answer.onsets.position
        fixed = voices + self._sounds.ended_from(onset)  # these cannot make room on their line of the grid
        if fixed >= self._belts.voices:
            places.append(onset)
        return max(map(answer.tick_from, places), default=answer.begin_tick)

    def _ends_by(self, sounding: list[int], line: Timeline) -> int:
        """The tick by which the first of some notes has to end: one more is left for the order within a tick."""
        if not sounding:
            return FAR
        first = self._sounds.first_struck(sounding)
        return first.tick + int(self._longest(first, line) - first.position) - 1

    def _longest(self, struck: Struck, line: Timeline) -> float:
        """Where a note has to end, by the belt."""
        return line.position(line.time_ns(struck.position) + self._longest_note_ns)

    def _draw_end(self, answer: Answer, stream: Stream, sounding: list[int], line: Timeline) -> Token | None:
        """The end of a note that sounds: nothing else is left to play."""
        if not sounding:
            return None
        left = min(answer.close_by, self._ends_by(sounding, line)) - stream.last.tick
        if left > 1:
            wait = min(self._wait(answer, stream.last.tick), left)
            return self._reader.draw(stream, Limits(wait, left, on=False), line)
        return self._end(stream, sounding, max(0, left))

    def _end(self, stream: Stream, pitches: list[int], wait: int) -> Token:
        """The end of one of some notes, after so many ticks. Within a tick note-offs come first, and upwards."""
        fitting = codec.allowed(stream.held, stream.last.what, wait)[codec.OFF :]
        pitch = next((pitch for pitch in pitches if fitting[pitch]), None)
        if pitch is None:
            pitch, wait = pitches[0], wait + 1
        return Token(stream.last.tick + wait, codec.OFF + pitch, codec.NO_VELOCITY)

    # What sounds

    def _play(self, answer: Answer, stream: Stream, token: Token, line: Timeline) -> None:
        onsets, struck = answer.onsets, self._sounds.struck(token.what % codec.PITCHES)
        on = token.what < codec.OFF
        position = self._strike(answer, stream, token, line) if on else self._release(answer, token, line)
        self._tape.add(Part(position, token, True, onsets, struck), stream)
        assert self._exchange is not None
        self._exchange.answer.append(token)
        self.stream = self._reader.feed(stream, token, line, own=True, who=self._who(own=True))

    def _strike(self, answer: Answer, stream: Stream, token: Token, line: Timeline) -> float:
        """A note begins. If it sounds already it ends first; struck twice on one line of the grid it is one note."""
        pitch, position = token.what, answer.onset(token.tick) + answer.turn.lean_ticks
        struck, velocity = Struck(position, token.tick), codec.velocity_of(token.velocity)
        heard = self._sounds.strike(pitch, struck, velocity, int(stream.own.sum()))
        answer.strike(token.tick, position, heard)
        if heard:
            self._pace.begin(line.time_ns(position))
        return position

    def _release(self, answer: Answer, token: Token, line: Timeline) -> float:
        """A note ends: it keeps the length it was given, up to the belt's and to the end of the turn."""
        pitch = token.what - codec.OFF
        struck = self._sounds.struck(pitch)
        assert struck is not None
        drawn = struck.position + token.tick - struck.tick
        longest = self._longest(struck, line)  # which one struck twice on a line may pass
        latest = answer.latest if answer.latest > struck.position else struck.position + 1
        position = min(max(min(drawn, longest), self._ripe_by(answer), self._drawn_from), latest)
        self._sounds.release(pitch, position)
        return position

    def _last(self, answer: Answer) -> float:
        last = self._tape.last_position
        return answer.turn.begin if last is None else last

    def _ripe_by(self, answer: Answer) -> float:
        """Whatever is still to be drawn sounds here or later."""
        assert self.stream is not None
        turn = answer.turn
        return answer.position(self.stream.last.tick) + turn.lean_ticks - turn.grid.reach_ticks

    def _ripe(self, answer: Answer, line: Timeline) -> Planned:
        """What can sound no sooner than it waits for."""
        until = math.inf if answer.over is not None else self._ripe_by(answer) + ROUNDING
        return [sound.event(line) for sound in self._sounds.ripe(until)]


def _revise_from(settled: float, line: Timeline) -> Revise:
    return Revise(line.time_ns(settled))


def _free(answer: Answer, stream: Stream) -> bool:
    """Whether any pitch is left to strike."""
    return bool((answer.pitches & ~stream.held).any())


def _fitted(token: Token, stream: Stream) -> Token | None:
    """At its tick, or the first one after it that the order within a tick allows; None: it cannot come at all."""
    token = token._replace(tick=max(token.tick, stream.last.tick))
    if stream.takes(token):
        return token
    token = token._replace(tick=token.tick + 1)
    return token if stream.takes(token) else None
