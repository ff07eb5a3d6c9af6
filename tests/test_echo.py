"""What it plays comes back on its input: over a cable, or through other programs, with thru and without."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import count
from queue import SimpleQueue
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from improv.engine import Engine
from improv.live.loop import Loop
from improv.midi import wire
from improv.midi.ears import Ears
from improv.midi.frames import Frame
from improv.music.echo import ENOUGH, SUSPECT, TOO_MANY, WINDOW_NS, Echo
from improv.music.events import Heard, Late, NoteOff, NoteOn, Played, Retime, Revise, TurnBegins, Yield
from improv.music.gate import Gate
from improv.music.grid import Grid
from improv.music.hands import Hands
from improv.music.musicianship import Musicianship, Time
from improv.music.outgoing import Outgoing
from improv.music.schedule import is_note_off, is_note_on
from improv.music.timeline import NS, Timeline
from tests.nets import lively
from tests.observer import Stamped, sound
from tests.stage import CHANNEL, Gave, Stage, every, played_on

MS = NS // 1000
THRU_CHANNEL = 1
LINE = Timeline(120.0, origin_ns=NS, metric=True)
FREE, TRADE = Time(), Time(source="link", grid=Grid(12, 1.0), mode="trade", bars=1)
Timed = tuple[int, bytes]


def on(pitch: int, velocity: int = 80, channel: int = 1) -> bytes:
    return bytes((0x8F + channel, pitch, velocity))


def off(pitch: int, channel: int = 1) -> bytes:
    return bytes((0x7F + channel, pitch, 0))


class Room:
    """An echo, and what it said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.echo, self.outgoing = Echo(self.said.append), Outgoing()

    def tell(self, *events: Played | Late) -> None:
        for event in events:
            self.outgoing.tell(event)
        for gone in self.outgoing.take():
            self.echo.tell(gone)

    def play(self, pitch: int, at_ms: int, for_ms: int = 100) -> None:
        self.tell(NoteOn(at_ms * MS, pitch, 80), NoteOff((at_ms + for_ms) * MS, pitch))

    def hears(self, message: bytes, at_ms: int) -> bool:
        """Whether it counts as the player's."""
        return not self.echo.returns(message, at_ms * MS)


def in_a_loop() -> Room:
    """One that has found out, at 1 s."""
    room = Room()
    for n in range(ENOUGH):
        room.play(60 + n, 500 + 100 * n)
        room.hears(on(60 + n), 510 + 100 * n)
    assert room.echo.believed
    return room


def test_copies_in_a_row_are_believed_and_said_once() -> None:
    room = Room()
    room.play(60, 0)
    assert room.hears(on(60, channel=5), 20)
    room.play(64, 200)
    assert not room.said and not room.hears(on(64, channel=5), 220)
    assert room.echo.believed and room.said == ["what it plays comes back on its input; it is not heard as yours"]
    assert not room.hears(off(64, channel=5), 320)
    assert room.echo.lines() == ["came back on the input: 1 messages, not heard as yours"]


def test_one_that_is_missing_between_is_no_loop() -> None:
    room = Room()
    for n in range(20):
        room.play(60 + n, 1_000 * n)
        if n % 2:
            assert room.hears(on(60 + n), 1_000 * n + 20)
    assert not room.echo.believed


@pytest.mark.parametrize("message", [on(60, 81), on(61), on(60, 80)])
def test_a_players_own_unison_is_heard_in_a_loop(message: bytes) -> None:
    """Of another velocity, or a second one like it."""
    room = in_a_loop()
    room.play(60, 1_000)
    assert not room.hears(on(60, 80), 1_010)
    assert room.hears(message, 1_020)


def test_each_end_is_that_of_its_own_note() -> None:
    """The player holds the pitch that the machine plays: its end is not that of his."""
    room = in_a_loop()
    assert room.hears(on(60, 99), 1_000)
    room.play(60, 1_100, for_ms=300)
    assert not room.hears(on(60, 80), 1_150)
    assert room.hears(off(60), 1_200)  # his
    assert not room.hears(off(60), 1_450)


def test_an_end_counts_where_its_note_was_heard() -> None:
    room = Room()
    room.play(60, 0)
    assert room.hears(on(60), 20)
    assert room.hears(off(60), 120)


def test_a_pedal_comes_up_where_it_was_heard_to_go_down() -> None:
    room, down, up = Room(), bytes((0xB4, 64, 127)), bytes((0xB4, 64, 0))
    for message in (down, up):
        room.echo.went(message, 900 * MS)
    assert room.hears(down, 950)
    for n in range(ENOUGH):
        room.play(60 + n, 950)
        room.hears(on(60 + n), 960)
    assert not room.echo.returns(up, 970 * MS, ends=True)
    for message in (down, up):
        room.echo.went(message, 1_000 * MS)
    assert not room.hears(down, 1_100)
    assert room.echo.returns(up, 1_110 * MS, ends=True)


@pytest.mark.parametrize("clicks", [True, False])
def test_its_own_click_is_not_the_players(clicks: bool) -> None:
    echo = Echo(lambda text: None, clicks=clicks)
    for n in range(ENOUGH):
        echo.tell(NoteOn(n * MS, 60, 80))
        echo.returns(on(60), n * MS)
    assert echo.returns(on(76, 110, channel=10), NS) == clicks


def test_a_loop_that_is_gone_is_given_up() -> None:
    room = in_a_loop()
    for n in range(TOO_MANY):
        assert room.echo.believed
        room.play(60, 2_000 + 1_000 * n)
        room.hears(on(99), 2_900 + 1_000 * n)
    assert not room.echo.believed
    room.play(60, 9_000)
    assert room.hears(on(60), 9_010)


def test_what_is_taken_back_is_not_missed() -> None:
    room = Room()
    room.play(60, 0)
    room.play(62, 200)
    assert room.hears(on(60), 20)
    room.tell(Yield(21 * MS))
    room.play(64, 3_000)
    assert not room.hears(on(64), 3_020)


def test_what_is_late_is_waited_for() -> None:
    room = in_a_loop()
    room.play(60, 1_000)
    room.tell(Late(1_000 * MS, 0, 200 * MS, 200 * MS, 0, ended=False))
    assert not room.hears(on(60), 1_200 + WINDOW_NS // MS)


def test_what_is_planned_after_that_is_as_late() -> None:
    room = in_a_loop()
    room.tell(Late(1_000 * MS, 0, 600 * MS, 600 * MS, 0, ended=False))
    room.play(60, 2_000)
    assert not room.hears(on(60), 2_600 + WINDOW_NS // MS)
    room.tell(TurnBegins(4_000 * MS))
    room.play(60, 5_000)
    assert room.hears(on(60), 5_600)


def test_what_was_sent_late_is_no_part_of_what_is_planned_anew() -> None:
    """It was planned for before, though it goes out after that moment."""
    room = in_a_loop()
    room.play(60, 1_000)
    room.tell(Late(1_000 * MS, 0, 600 * MS, 600 * MS, 0, ended=False))
    room.tell(Revise(1_200 * MS))
    assert not room.hears(on(60), 1_650)


MESSAGES = st.one_of(
    st.builds(on, st.integers(60, 61), st.sampled_from([64, 80])),
    st.builds(off, st.integers(60, 61)),
    st.builds(lambda value: bytes((0xB0, 1, value)), st.integers(0, 2)),
    st.builds(lambda value: bytes((0xB0, 64, value)), st.sampled_from([0, 127])),
)


@given(st.lists(st.tuples(st.integers(0, 100), MESSAGES), max_size=60), st.integers(1, 8))
def test_without_a_loop_whatever_is_played_is_heard(moves: list[tuple[int, bytes]], times: int) -> None:
    """Also the same, again and again, sent on each time: nobody answers its questions."""
    echo, now = Echo(lambda text: None), 0
    questions = 0
    for after_ms, message in moves * times:
        now += after_ms * MS
        assert not echo.returns(message, now)
        echo.went(message, now)
        questions += echo.question(now) is not None
    assert questions <= len(moves) * times / SUSPECT and not echo.believed


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(60, 72)), min_size=5, max_size=40),
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(60, 72)), max_size=10),
    st.integers(1, 250),
)
def test_in_a_loop_the_player_is_heard_and_the_machine_is_not(
    played: list[tuple[int, int]], own: list[tuple[int, int]], delay_ms: int
) -> None:
    room = in_a_loop()
    now, timed = 1_000, list[tuple[int, bytes, bool]]()
    for after_ms, pitch in played:
        now += after_ms
        room.play(pitch, now)
        timed.append((now + delay_ms, on(pitch), False))
    timed += [(1_000 + at_ms, on(pitch, 99), True) for at_ms, pitch in own]
    for at_ms, message, own_note in sorted(timed):
        assert room.hears(message, at_ms) == own_note


# The whole of it, on the stage


class Cabled(Stage):
    """Whose output is cabled to its input, some way or other."""

    def __init__(
        self, time: Time, delay_ms: float, thru: bool, to_channel: int | None = None, latency_ms: int = 0
    ) -> None:
        super().__init__(lively(), Musicianship(time=time, out_latency_ns=latency_ms * MS))
        self._delay_ns, self._to_channel = round(delay_ms * MS), to_channel
        self.coming: list[tuple[int, int, bytes]] = []
        self._number, self._now = count(), 0
        self.cut = False
        self.said: list[str] = []
        self.echo = Echo(self.said.append)
        outgoing = Outgoing(latency_ms * MS)
        self._loop = Loop(self._engine, SimpleQueue(), self, CHANNEL, tell=outgoing.tell)
        thru_channel = THRU_CHANNEL if thru else None
        gate = Gate(self.said.append)
        self.ears = Ears(
            self._post, self._forward, gate, self.echo, outgoing, Hands({}, gate),
            thru_channel=thru_channel, now=lambda: self._now,
        )  # fmt: skip
        self.heard: list[Heard] = []

    def _post(self, event: Heard) -> None:
        self.heard.append(event)
        self._thinker.post(self._now, event)

    def _forward(self, frame: Frame) -> None:
        self._sender.post(self._now, frame)

    def _send(self, message: bytes) -> None:
        super()._send(message)
        if not self.cut:
            back = message if self._to_channel is None else wire.on_channel(message, self._to_channel)
            self.come(self._outlet_ns + self._delay_ns, back)

    def come(self, time_ns: int, message: bytes) -> None:
        heapq.heappush(self.coming, (time_ns, next(self._number), message))

    def perform(self, events: list[Heard], until_ns: int, channel: int = 1) -> None:
        for event in events:
            if isinstance(event, NoteOn | NoteOff):
                self.come(event.time_ns, wire.spell(event, channel))
            else:
                self._thinker.post(event.time_ns, event)
        while self._now < until_ns:  # nothing that goes out from now on comes back before
            self._now = min(self._now + self._delay_ns, until_ns, *(time_ns for time_ns, _, _ in self.coming[:1]))
            self.play([], self._now)
            while self.coming and self.coming[0][0] <= self._now:
                self.ears.hear(heapq.heappop(self.coming)[2])

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def gave(self) -> list[Gave]:
        return self._show.gave

    def answers(self) -> list[int]:
        """How many notes each had."""
        notes: list[int] = []
        for gave in self.gave:
            if type(gave.event).__name__ == "TurnBegins":
                notes.append(0)
            elif isinstance(gave.event, NoteOn):
                notes[-1] += 1
        return notes


WAYS = [(5, False, None), (5, True, None), (120, False, 1), (120, True, 7), (250, False, None), (250, True, 1)]


@pytest.mark.parametrize("latency_ms", [0, 200])
@pytest.mark.parametrize(("delay_ms", "thru", "to_channel"), WAYS)
def test_it_does_not_answer_itself_and_answers_the_player(
    delay_ms: int, thru: bool, to_channel: int | None, latency_ms: int
) -> None:
    """Free time: a phrase every twelve seconds."""
    stage = Cabled(FREE, delay_ms, thru, to_channel, latency_ms)
    for number in range(5):
        begin_ns = (1 + 12 * number) * NS
        phrase = played_on(Timeline(origin_ns=begin_ns), every(0.5, 0, 6))
        stage.perform(phrase, begin_ns + 12 * NS)
        assert stage.engine.resting and not stage.coming
    answers = stage.answers()
    assert 5 <= len(answers) <= 7  # at most twice it answered a note of its own
    assert all(notes > 5 for notes in answers[-3:])
    assert len(stage.said) == 1 and "comes back" in stage.said[0]
    own = Counter(type(event) for event in stage.heard)
    assert own[NoteOn] <= 5 * 12 + 40


@pytest.mark.parametrize(("delay_ms", "thru", "to_channel"), WAYS)
def test_bars_are_traded_through_a_loop(delay_ms: int, thru: bool, to_channel: int | None) -> None:
    """And a player who has left his bars empty is not taken to play on."""
    stage = Cabled(TRADE, delay_ms, thru, to_channel)
    bars = [beat for bar in range(0, 8, 2) for beat in every(0.5, 4 * bar, 4 * bar + 3)]
    stage.perform([Retime(0, LINE, jump=True), *played_on(LINE, bars)], LINE.time_ns(4 * 40 * 48))
    last_ns = max(gave.event.time_ns for gave in stage.gave if isinstance(gave.event, NoteOn))
    assert last_ns <= LINE.time_ns(4 * 9 * 48)
    assert stage.engine.resting and not stage.coming
    assert len(stage.answers()) >= 3 and stage.answers()[-1] > 3


@pytest.mark.parametrize("delay_ms", [1, 30, 200])
def test_what_is_sent_on_does_not_circulate(delay_ms: int) -> None:
    """A single note and a wheel, with thru: all is quiet soon after."""
    stage = Cabled(FREE, delay_ms, thru=True)
    wheel = [(NS + n * 2 * MS, bytes((0xB0, 1, n))) for n in range(100)]
    for time_ns, message in [(NS, on(60)), (NS + 60 * MS, off(60)), *wheel]:
        stage.come(time_ns, message)
    stage.perform([], 4 * NS)
    assert not stage.coming
    sent = [message for _, message in stage.messages]
    assert sum(map(is_note_on, sent)) == sum(map(is_note_off, sent)) <= 12


def whatever(dice: Random) -> list[Timed]:
    """Phrases of notes that overlap and repeat, with pedal and wheel."""
    now, messages = NS, list[Timed]()
    for _ in range(dice.randrange(1, 5)):
        alike = dice.random() < 0.4
        for _ in range(dice.randrange(1, 20)):
            pitch, velocity = (
                (dice.choice((60, 62, 64)), 80) if alike else (dice.randrange(128), dice.randrange(1, 128))
            )
            lasts = dice.randrange(5, 400) * MS
            messages += [(now, on(pitch, velocity)), (now + lasts, off(pitch))]
            if dice.random() < 0.1:
                messages += [(now, bytes((0xB0, 64, 127))), (now + lasts, bytes((0xB0, 64, 0)))]
                messages += [(now + n * 3 * MS, bytes((0xB0, 1, n))) for n in range(40)]
            now += dice.choice((0, 60, 125, 250, dice.randrange(400))) * MS
        now += dice.randrange(500, 6_000) * MS
    return messages


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_played_into_a_loop_it_falls_quiet(seed: int) -> None:
    dice = Random(seed)
    time = dice.choice((FREE, TRADE, Time(bpm=120.0)))
    stage = Cabled(time, dice.choice((1, 20, 150, 249)), dice.random() < 0.6, dice.choice((None, 1, 2, 7)))
    played = whatever(dice)
    for time_ns, message in played:
        stage.come(time_ns, message)
    stage.perform([Retime(0, LINE, jump=True)] if time is TRADE else [], max(played)[0] + 80 * NS)
    assert stage.engine.resting and not stage.coming
    assert sound(Stamped(time_ns, tuple(message)) for time_ns, message in stage.messages) == (set(), set())


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_played_without_one_is_heard(seed: int) -> None:
    dice = Random(seed)
    stage = Cabled(dice.choice((FREE, Time(bpm=120.0))), 5, thru=True)
    stage.cut = True
    played = whatever(dice)
    for time_ns, message in played:
        stage.come(time_ns, message)
    stage.perform([], max(played)[0] + NS)
    assert not stage.echo.believed and not stage.echo.kept_out and not stage.said
    assert sum(isinstance(event, NoteOn) for event in stage.heard) == sum(is_note_on(message) for _, message in played)


@pytest.mark.parametrize("delay_ms", [2, 100])
def test_a_flood_into_a_loop_ebbs_away(delay_ms: int) -> None:
    stage = Cabled(FREE, delay_ms, thru=True)
    for n in range(10_000):
        stage.come(NS + n * NS // 10_000, on(n * 7 % 128, 1 + n % 127))
    for n in range(128):
        stage.come(2 * NS + n * MS, off(n))
    stage.perform([], 10 * NS)
    stage.perform(played_on(Timeline(origin_ns=10 * NS), every(0.5, 0, 6)), 40 * NS)
    assert not stage.coming and stage.engine.resting
    assert sound(Stamped(time_ns, tuple(message)) for time_ns, message in stage.messages) == (set(), set())
    assert stage.answers()[-1] > 5
