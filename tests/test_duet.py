"""Playing beside the player: joining him, leaving him room, planning anew when he surprises; going on until stopped."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from improv.music.belts import Belts
from improv.music.events import (
    AnotherTake,
    Ask,
    ForgetMe,
    Halt,
    Heard,
    Mute,
    NoteOff,
    NoteOn,
    Panic,
    Retime,
    Revise,
    SetMode,
    TurnBegins,
    Undo,
    Yield,
)
from improv.music.grid import Grid
from improv.music.musicianship import Musicianship, Time
from improv.music.mute import Muting
from improv.music.schedule import is_note_on
from improv.music.steering import Steering
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline
from improv.music.zone import Range, Zone
from improv.net import codec
from improv.net.memory import MOST_LEARNT
from improv.soloist import SETTLED_NS
from tests.nets import FlatNet, MadNet, lively
from tests.stage import CHANNEL, Faults, Show, Stage, every, notes, played_on

MS = NS // 1000
LINE = Timeline(120.0, NS, 0.0, metric=True)
JOINS = Retime(NS, LINE, jump=True)
DUET, GOES_ON = Time(mode="duet"), Time(mode="continue")
IN_TIME = Time(source="link", mode="duet", grid=Grid(12, 1.0))


def stage(time: Time = DUET, net: FlatNet | None = None, zone: Zone = Zone(), seed: int = 0, **faults: object) -> Stage:  # noqa: B008
    musicianship = Musicianship(time=time, zone=zone, seed=seed)
    return Stage(net or lively(), musicianship, Faults(**faults))  # type: ignore[arg-type]


def tune(beats: float = 16, pitch: int = 72, begin: float = 0) -> list[Heard]:
    return played_on(LINE, every(0.5, begin, begin + beats), pitch=pitch)


def given(show: Show, kind: type) -> list[object]:
    return [gave.event for gave in show.gave if isinstance(gave.event, kind)]


def onsets_s(show: Show) -> list[float]:
    return [(one.sent_ns - NS) / NS for one in show.sent if is_note_on(one.message)]


class Picky(FlatNet):
    """It expects one pitch and no other, or any of them."""

    def __init__(self, pitch: int | None) -> None:
        super().__init__()
        self._dt = lively()._dt
        self._pitch = pitch

    def what(self, hidden: np.ndarray, dt: int, phase: int) -> np.ndarray:
        logp = np.zeros(codec.WHATS, np.float32)
        if self._pitch is not None:
            logp[self._pitch] = 20.0
        return logp


# Joining and leaving


def test_it_joins_at_the_third_note_and_ends_when_the_player_has() -> None:
    show = stage().play(tune())
    played = onsets_s(show)
    assert 0.5 <= played[0] < 0.6 and 7.5 < max(played) < 10
    assert len(played) > 30 and not given(show, Yield) and show.engine.resting
    assert given(show, TurnBegins) == [TurnBegins(NS + NS // 2, beside=True)]
    notes(show.sent)


def test_it_goes_on_where_the_player_does_before_it_has_ended() -> None:
    """His phrase is over, and the next begins while the last notes of the plan sound."""
    show = stage(net=FlatNet()).play([*tune(8), *tune(8, begin=9.6)])
    assert len(given(show, TurnBegins)) == 1 and max(onsets_s(show)) > 8


def test_under_a_beat_it_enters_on_the_next_one_and_keeps_to_the_grid() -> None:
    show = stage(IN_TIME).play([JOINS, *tune()])
    beats = [LINE.beat(one.due_ns) * 4 for one in show.sent if is_note_on(one.message)]
    assert beats[0] == pytest.approx(2 * 4) and all(abs(beat - round(beat)) < 1e-3 for beat in beats)


def test_two_notes_are_not_joined() -> None:
    assert not stage().play(tune(1)).sent


def test_asked_it_comes_in_at_once_and_asked_again_it_stops_for_this_phrase() -> None:
    show = stage().play([*tune(16), Ask(NS + 3 * NS), *tune(4, begin=24)])
    played = onsets_s(show)
    assert not [at for at in played if 3.1 < at < 12.4] and max(played) > 12.4
    alone = stage().play([Ask(NS), Halt(9 * NS)])
    assert max(onsets_s(alone)) > 7 and alone.engine.resting


def test_another_take_plans_the_rest_anew() -> None:
    heard = tune()
    plain, other = stage().play(heard), stage().play([*heard, AnotherTake(3 * NS)])
    before = [one for one in plain.sent if one.sent_ns < 3 * NS]
    assert other.sent[: len(before)] == before and other.sent != plain.sent
    assert len(given(other, TurnBegins)) == 1 and not given(other, Yield)


# Leaving room


@pytest.mark.parametrize("seed", range(6))
def test_it_never_strikes_what_the_player_sounds(seed: int) -> None:
    heard = [*tune(12), *tune(12, pitch=60, begin=0.25)]
    heard.sort(key=lambda event: event.time_ns)
    show = stage(net=FlatNet(lively()._dt) if seed < 3 else MadNet(seed), zone=Zone("all"), seed=seed).play(heard)
    held = [(on.time_ns, off.time_ns, on.pitch) for on, off in both_ends(heard)]
    for note in notes(show.sent):
        for on_ns, off_ns, pitch in held:
            if note.pitch == pitch:
                # What sounded, or was to sound within a moment, ends with that.
                assert note.off.sent_ns <= on_ns + SETTLED_NS + 15 * MS or note.on.sent_ns >= off_ns - 1


def both_ends(heard: list[Heard]) -> list[tuple[NoteOn, NoteOff]]:
    ends = []
    for i, on in enumerate(heard):
        if isinstance(on, NoteOn):
            ends.append((on, next(off for off in heard[i:] if isinstance(off, NoteOff) and off.pitch == on.pitch)))
    return ends


@pytest.mark.parametrize(
    ("zone", "pitch", "low", "high"),
    [
        (Zone("below"), 72, 21, 71),
        (Zone("above"), 48, 60, 108),
        (Zone(), 84, 21, 83),
        (Zone(), 36, 48, 108),
        (Zone("below", split=50), 72, 21, 49),
        (Zone("above", split=90), 48, 90, 108),
        (Zone("below"), 24, 36, 108),  # there is no room below
    ],
)
def test_it_keeps_to_its_zone(zone: Zone, pitch: int, low: int, high: int) -> None:
    show = stage(zone=zone).play(tune(pitch=pitch))
    pitches = [note.pitch for note in notes(show.sent)]
    assert len(pitches) > 30 and low <= min(pitches) and max(pitches) <= high


def test_the_zone_follows_what_was_played_of_late() -> None:
    zone = Range(Zone("below"))
    zone.hear(0, 50)
    zone.hear(5 * NS, 60)
    assert zone.left(21, 108) == (26, 49)
    zone.hear(10 * NS, 70)
    assert zone.left(21, 108) == (36, 59)


# Planning


def planned_until(show: Show, moment_ns: int) -> int:
    """The last onset that was planned by then, and not taken back."""
    last = 0
    for gave in show.gave:
        if gave.step_ns > moment_ns:
            break
        if isinstance(gave.event, Revise):
            last = min(last, gave.event.time_ns)
        elif isinstance(gave.event, NoteOn | NoteOff):
            last = max(last, gave.event.time_ns)
    return last


@pytest.mark.parametrize("bpm", [60.0, 120.0, 180.0])
def test_it_plans_a_beat_ahead_whatever_the_player_does(bpm: float) -> None:
    line = LINE._replace(bpm=bpm)
    heard = [Retime(NS, line, jump=True), *played_on(line, every(0.5, 0, 16), pitch=72)]
    show = stage(replace(IN_TIME, grid=Grid()), Picky(None)).play(heard)
    beat_ns = line.time_ns(TICKS_PER_BEAT) - line.time_ns(0)
    for beat in every(0.25, 4, 15):
        now = line.time_ns(beat * TICKS_PER_BEAT) + 21 * MS
        assert planned_until(show, now) >= now + beat_ns - 130 * MS  # it plays something every 125 ms


def test_a_surprise_is_answered_within_20_ms() -> None:
    """Each of the player's notes is one, for the network expects another."""
    heard = tune()
    show = stage(net=Picky(40)).play(heard)
    struck = [event.time_ns for event in heard if isinstance(event, NoteOn)][3:]
    revised = [gave.step_ns for gave in show.gave if isinstance(gave.event, Revise)]
    for now in struck:
        assert any(now < at <= now + 20 * MS for at in revised)


def test_what_was_expected_changes_no_plan() -> None:
    show = stage(net=Picky(72)).play(played_on(LINE, every(0.5, 0, 16), pitch=72 - 0))
    likely = [gave for gave in show.gave if isinstance(gave.event, Revise)]
    less = stage(net=Picky(40)).play(tune())
    assert len(likely) < len([gave for gave in less.gave if isinstance(gave.event, Revise)])


def test_the_network_reads_both_parts_once_each_in_the_order_in_which_they_sound() -> None:
    net = lively()
    show = stage(net=net).play(tune())
    stream = show.engine._improviser._soloist.stream
    assert stream is not None and not stream.held.any() and not stream.own.any()
    heard = 2 * 32
    assert float(stream.reading.state[0]) == 1 + heard + len(show.sent)  # this one counts what it has read
    whos = {row[5] for row in net.read_tokens[1:]}
    assert whos == {codec.WHO.index("player"), codec.WHO.index("machine")}


@pytest.mark.parametrize("after_ms", [13, 16, 18])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_read_again_is_remembered_once(seed: int, after_ms: int) -> None:
    """It is stopped when a note of the player's has been read that lies before one of its own on the grid."""
    heard = played_on(LINE, every(0.5, 0, 6), pitch=72, late_ns=-20 * MS)
    stop = Halt(heard[16].time_ns + after_ms * MS)
    show = stage(IN_TIME, seed=seed).play(sorted([JOINS, *heard, stop], key=lambda event: event.time_ns))
    assert show.engine._improviser._soloist._reader.memory.kept == len(heard)


def test_what_is_late_moves_the_rest_and_nothing_is_stuck() -> None:
    show = stage(outlet_stalls=[(4 * NS, 150 * MS)], engine_stalls=[(6 * NS, 400 * MS)]).play(tune())
    assert show.late and show.engine.resting
    notes(show.sent)


@pytest.mark.parametrize("late_ms", [30, 60, 120])
@pytest.mark.parametrize("time", [DUET, GOES_ON, IN_TIME])
def test_what_falls_behind_by_a_beat_is_given_up_and_begun_anew(time: Time, late_ms: int) -> None:
    """On a computer that is far too slow. What was planned for long ago can still be taken back until then."""
    faults = {"step_ns": late_ms * MS, "engine_late_ns": late_ms * MS, "outlet_late_ns": late_ms * MS}
    heard = [JOINS, *tune(48), Halt(40 * NS)] if time is IN_TIME else [*tune(48), Halt(40 * NS)]
    show = stage(time, **faults).play(heard)
    begun = [event.time_ns for event in given(show, TurnBegins)]
    behind = [sum(late.shift_ns for late in show.late if late.turn_ns == turn_ns) for turn_ns in begun]
    assert max(behind) < NS
    notes(show.sent)


def test_it_is_heard_on_a_channel_of_its_own() -> None:
    playing = stage()
    playing._loop._beside = 5
    show = playing.play([*tune(), SetMode(20 * NS, "call"), *tune(begin=40)])
    channels = [(one.message[0] & 15) + 1 for one in show.sent]
    assert set(channels[:20]) == {5} and channels[-1] == CHANNEL


# Going on


def test_it_goes_on_until_it_is_stopped_whatever_the_player_plays() -> None:
    show = stage(GOES_ON).play([*tune(8), *tune(8, begin=40), Halt(60 * NS)], 70 * NS)
    played = onsets_s(show)
    assert 58 < max(played) <= 59.1 and max(later - sooner for sooner, later in pairwise(played)) < 1.5
    assert given(show, Yield) == [Yield(60 * NS)] and show.engine.resting
    notes(show.sent)


@pytest.mark.parametrize("stop", [Ask, Panic])
def test_the_pedal_and_a_panic_stop_it_too(stop: type[Ask] | type[Panic]) -> None:
    show = stage(GOES_ON).play([*tune(8), stop(20 * NS)], 60 * NS)
    assert max(onsets_s(show)) <= 19.1 and show.engine.resting


def test_a_stall_does_not_end_it() -> None:
    show = stage(GOES_ON, outlet_stalls=[(10 * NS, 600 * MS)]).play([*tune(8), Halt(30 * NS)], 40 * NS)
    assert show.late[-1].ended and max(onsets_s(show)) > 28
    notes(show.sent)


# Changing


def test_modes_are_switched_under_way() -> None:
    heard = [
        *tune(8), SetMode(10 * NS, "duet"), *tune(8, begin=20), SetMode(18 * NS, "continue"), *tune(8, begin=40),
        SetMode(40 * NS, "trade"), *tune(8, begin=84), SetMode(60 * NS, "call"), *tune(8, begin=124),
    ]  # fmt: skip
    show = stage(Time(mode="call")).play(sorted(heard, key=lambda event: event.time_ns), 90 * NS)
    beside = [event.beside for event in given(show, TurnBegins)]
    assert beside == [False, True, True, False, False]
    assert show.engine.resting
    notes(show.sent)


@pytest.mark.parametrize("mode", ["call", "continue", "duet"])
def test_the_mode_that_is_on_already_changes_nothing(mode: str) -> None:
    time, heard = Time(mode=mode), tune(8)
    pressed = sorted([*heard, SetMode(4 * NS, mode), SetMode(6 * NS, mode)], key=lambda event: event.time_ns)
    assert stage(time).play(pressed, 12 * NS).sent == stage(time).play(heard, 12 * NS).sent != []


def test_a_mute_begins_and_ends_at_the_bar() -> None:
    press = [Mute(LINE.time_ns(beat * TICKS_PER_BEAT)) for beat in (9.3, 17.9)]
    show = stage(replace(IN_TIME, source="link")).play(
        sorted([JOINS, *tune(32), *press], key=lambda event: event.time_ns)
    )
    beats = [LINE.beat(one.sent_ns) for one in show.sent if is_note_on(one.message)]
    assert any(11 < beat < 12 for beat in beats) and not any(11.99 < beat < 19.99 for beat in beats)
    assert any(20 <= beat < 22 for beat in beats)


def test_without_a_beat_a_mute_is_at_once() -> None:
    show = stage().play(sorted([*tune(32), Mute(5 * NS), Mute(9 * NS)], key=lambda event: event.time_ns))
    played = onsets_s(show)
    assert not any(4.01 < at < 8 for at in played) and any(8 < at < 9 for at in played)


@pytest.mark.parametrize("beat", [True, False])
def test_what_goes_on_goes_on_after_a_mute(beat: bool) -> None:
    time, begins = (replace(GOES_ON, source="link"), [JOINS]) if beat else (GOES_ON, [])
    heard = [*begins, *tune(8), Mute(20 * NS), Mute(26 * NS), Halt(40 * NS)]
    played = onsets_s(stage(time).play(heard, 50 * NS))
    assert not any(21.1 < at < 25 for at in played) and max(played) > 38
    for press in (Halt, Panic, Undo, ForgetMe):
        stopped = onsets_s(stage(time).play([*heard[:-2], press(22 * NS), *heard[-2:]], 50 * NS))
        assert max(stopped) < 21.1


def test_what_goes_on_goes_on_after_nobody_heard_it() -> None:
    """Another outlet, or one that had forgotten all."""
    playing = stage(GOES_ON)
    playing.play(tune(8), 20 * NS)
    playing._loop._play(playing._engine.silence(20 * NS))
    show = playing.play([Halt(40 * NS)], 50 * NS)
    assert 38 < max(onsets_s(show)) < 39.1
    notes(show.sent)


def test_a_mute_that_waited_for_a_bar_line_no_longer_does_when_the_beat_is_gone() -> None:
    mute, free = Muting(), LINE._replace(metric=False)
    assert not mute.press(2 * NS, LINE) and mute.press(3 * NS, free)
    assert mute.on and mute.deadline(free) is None


def test_a_mute_waits_for_a_bar_line_where_the_song_moved_them() -> None:
    mute, moved = Muting(), LINE._replace(bar_beat=1.0)
    mute.press(2 * NS, LINE)  # for beat 4
    due_ns = mute.deadline(moved)
    assert due_ns is not None and moved.beat(due_ns) == pytest.approx(5 - 1 / TICKS_PER_BEAT)


@pytest.mark.parametrize("mode", ["call", "duet", "continue"])
def test_asked_while_it_is_muted_it_plays_neither_then_nor_afterwards(mode: str) -> None:
    show = stage(Time(mode=mode)).play([Mute(NS // 2), *tune(8), Ask(10 * NS), Mute(20 * NS)], 60 * NS)
    assert not show.sent and show.engine.resting


def test_where_it_has_nothing_to_play_it_waits_for_more() -> None:
    """No pitch of the key is within the belts."""
    musicianship = Musicianship(belts=Belts(lowest=61, highest=61), steering=Steering(key="C major"), time=DUET)
    show = Stage(lively(), musicianship).play(tune(16))
    assert not show.sent and len(given(show, TurnBegins)) < 12 and show.engine.resting


def test_stopped_while_all_is_silent_it_joins_the_next_phrase() -> None:
    show = stage().play([Halt(NS // 2), *tune(8)])
    assert onsets_s(show)


@pytest.mark.parametrize("press", [Halt, Panic, Ask])
@pytest.mark.parametrize("at_s", [2.1, 4.9, 5.4])  # among his notes; after the last; when all but silence is over
def test_it_sits_out_a_phrase_and_joins_the_next(press: type[Halt | Panic | Ask], at_s: float) -> None:
    heard = sorted([*tune(8), press(round(at_s * NS)), *tune(8, begin=30)], key=lambda event: event.time_ns)
    played = onsets_s(stage().play(heard))
    assert not any(at_s - 1 < at < 15 for at in played) and sum(at > 15 for at in played) > 2


def test_an_hour_beside_the_player_keeps_little() -> None:
    show = stage().play(tune(1200))
    assert len(show.engine._improviser._soloist._exchange.answer) <= MOST_LEARNT + 1 < len(show.sent)
    assert len(show.engine._improviser._soloist._tape._read) < 200


def test_the_player_is_heard_in_order_however_far_it_falls_behind() -> None:
    net = lively()
    heard = tune(48)
    show = stage(net=net, step_ns=20 * MS, outlet_stalls=[(4 * NS, 180 * MS), (6 * NS, 180 * MS)]).play(heard)
    read = [row[1] for row in net.read_tokens if row[5] == codec.WHO.index("player") and row[1] < codec.OFF]
    assert show.late and len(read) >= sum(isinstance(event, NoteOn) for event in heard)


def test_muted_it_answers_nothing() -> None:
    show = stage(Time(mode="call")).play([Mute(NS // 2), *tune(8)])
    assert not show.sent and show.engine.resting


def test_stopped_it_answers_the_next_phrase() -> None:
    show = stage(Time(mode="call")).play([*tune(8), Halt(6 * NS), *tune(8, begin=20)])
    played = onsets_s(show)
    assert not any(5.01 < at < 14 for at in played) and max(played) > 14
