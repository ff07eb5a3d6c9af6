"""The shared beat as a musician meets it: real ports on a private JACK server, the masters in other processes."""

from __future__ import annotations

import contextlib
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from improv.midi.link import INSTALL
from tests.jack import PPQN, Daemon, Env, Master, Phrase, Player, kill, server_or_skip
from tests.observer import Stamped

pytestmark = pytest.mark.jack

MACHINE, CLICK = 2, 10  # channels
MS = 1_000_000
TICK, START, CONTINUE, STOP, SONG_POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
TICKS_PER_SIXTEENTH = 6
BPM, BAR_BEATS = 160, 4
TAP_CC, TRANSPORT_CC = 20, 21
VIRTUAL = ("--virtual", "--api", "jack", "--random-seed", "1", "--no-thru")
BY_MIDI = (*VIRTUAL, "--clock", "midi")
LATE_MS = 60.0  # on a busy machine; the grids here are twice that and more
SCALE = (60, 64, 67, 72, 71, 67, 65, 62)


@pytest.fixture(scope="module")
def env() -> Iterator[Env]:
    with server_or_skip() as env:
        yield env


def eighths(notes: int, bpm: float = BPM) -> Phrase:
    spacing_s = 30 / bpm
    strokes = [(n * spacing_s, (0x90, SCALE[n % 8], 80)) for n in range(notes)]
    lifts = [((n + 0.8) * spacing_s, (0x80, SCALE[n % 8], 0)) for n in range(notes)]
    return sorted(strokes + lifts)


def pressed(control: int, at_s: float = 0.0) -> Phrase:
    return [(at_s, (0xB0, control, 127)), (at_s, (0xB0, control, 0))]


def answer(player: Player, after_ns: int, timeout_s: float = 8.0) -> list[Stamped]:
    """All of an answer: it begins after a moment, and is over when nothing more comes."""
    assert player.wait_for_notes(MACHINE, 1, after_ns, timeout_s), "no answer"
    assert player.wait_for_quiet(1.2, 15.0)
    return [event for event in player.received if event.channel == MACHINE and event.time_ns > after_ns]


def off_line_ms(beats: Sequence[float], bpm: float = BPM, lines: float = 0.25) -> list[float]:
    """How long after the nearest line each is."""
    return [(beat - round(beat / lines) * lines) * 60e3 / bpm for beat in beats]


def real_time(player: Player, after_ns: int = 0) -> list[Stamped]:
    """What the player heard of a clock."""
    return [event for event in player.received if event.message[0] >= SONG_POSITION and event.time_ns > after_ns]


def told(events: list[Stamped]) -> list[int]:
    """Everything of a clock but its ticks."""
    return [event.message[0] for event in events if event.message[0] != TICK]


def tempo(ticks: Sequence[Stamped]) -> float:
    times = [event.time_ns for event in ticks if event.message[0] == TICK]
    return 60e9 / statistics.linear_regression(range(len(times)), times).slope / PPQN


def test_answers_keep_to_the_masters_bars_and_stop_silences_them(env: Env) -> None:
    with Daemon(env, *BY_MIDI, "--enter", "bar", "--quantize", "1", "--grid", "1/8") as daemon, Player(env) as player:
        with Master(env) as master:
            master.start(BPM)
            bar = master.next_bar()
            ended_ns = player.play(eighths(8), master.time_ns(bar))[-1].time_ns
            whole = answer(player, ended_ns)
            onsets = [master.beat(event.time_ns) for event in whole if event.note_on]
            off_ms = off_line_ms(onsets, lines=0.5)
            assert max(map(abs, off_ms)) < LATE_MS, off_ms
            assert statistics.median(abs(off - statistics.median(off_ms)) for off in off_ms) < LATE_MS / 6
            assert abs(off_line_ms(onsets[:1], lines=BAR_BEATS)[0]) < LATE_MS, onsets[0]
            length_beats = master.beat(whole[-1].time_ns) - round(onsets[0])
            assert length_beats < 2 * BAR_BEATS + 0.1 and length_beats % BAR_BEATS, length_beats
            assert player.sound() == (set(), set())
            ended_ns = player.play(eighths(8), master.time_ns(master.next_bar()))[-1].time_ns
            assert player.wait_for_notes(MACHINE, 2, ended_ns)
            stopped_ns = master.tell(stop=1)
            player.wait(lambda: False, 0.8)
            assert player.sound(stopped_ns + 100 * MS) == player.sound() == (set(), set())
            assert not [note for note in player.notes(MACHINE) if note.time_ns > stopped_ns + 100 * MS]
        assert daemon.err.lines == []


def test_ticks_may_stay_away_for_a_while(env: Env) -> None:
    with Daemon(env, *BY_MIDI, "--quantize", "1") as daemon, Player(env) as player, Master(env) as master:
        master.start(BPM)
        bar = master.next_bar()
        ended_ns = player.play(eighths(16), master.time_ns(bar))[-1].time_ns
        assert player.wait_for_notes(MACHINE, 1, ended_ns)
        number, gone_ns = len(master.ticks), time.perf_counter_ns()
        master.tell(lose=2 * BPM * PPQN // 60)
        assert daemon.err.wait(lambda: len(daemon.err.lines) >= 2, 6.0), daemon.err.lines
        assert [event for event in player.notes(MACHINE) if gone_ns + 0.5e9 < event.time_ns < gone_ns + 2e9]
        player.wait_for_quiet(1.2, 12.0)
        assert player.sound() == (set(), set())
        assert sum(tick.sent_ns is None for tick in master.ticks[number:]) >= 90
        master.tell(stop=1)  # or its end would be said, too
    for away, back in zip(daemon.err.lines[::2], daemon.err.lines[1::2], strict=True):  # a busy machine may add to it
        assert away.startswith("improv: the clock's ticks stay away; the beat goes on at 1") and away.endswith(" bpm")
        assert back == "improv: the clock's ticks are back"


def test_it_is_a_master_with_a_click_whose_transport_stops_and_goes_on(env: Env, tmp_path: Path) -> None:
    config = tmp_path / "transport.yaml"
    config.write_text(f"controls: {{transport: {TRANSPORT_CC}}}\n")
    arguments = ("--clock-out", "--click", "--bpm", str(BPM), "--config", str(config))
    with Daemon(env, *VIRTUAL, *arguments) as daemon, Player(env) as player:
        assert player.wait(lambda: len(real_time(player)) > 12, 2.0), "no ticks before the first beat"
        assert told(real_time(player)) == []
        pressed_ns = player.play(pressed(TRANSPORT_CC))[0].time_ns
        assert player.wait_for_notes(CLICK, 5, timeout_s=4.0)
        stopped_ns = player.play(pressed(TRANSPORT_CC))[0].time_ns
        player.wait(lambda: False, 0.7)
        clicks = player.notes(CLICK)
        assert clicks[-1].time_ns < stopped_ns + LATE_MS * MS
        again_ns = player.play(pressed(TRANSPORT_CC))[0].time_ns
        assert player.wait_for_notes(CLICK, len(clicks) + 3, timeout_s=4.0)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        player.wait_for_quiet(0.3, 2.0)
        assert player.sound() == (set(), set())
        clock = real_time(player, pressed_ns)
        assert told(clock) == [START, STOP, SONG_POSITION, CONTINUE, STOP]
        assert clock[-1].message == (STOP,)
        assert abs(tempo([event for event in clock if event.time_ns < again_ns]) / BPM - 1) < 0.01
        assert all((ticks - 1) % PPQN <= 2 for ticks in song_positions(player.received, pressed_ns))
    assert daemon.err.lines == []


def test_an_outlet_that_dies_is_replaced_in_the_midst_of_the_song(env: Env) -> None:
    with Daemon(env, *VIRTUAL, "--clock-out", "--bpm", str(BPM)) as daemon, Player(env) as player:
        player.play([(0.0, (0x90, 60, 80)), (0.3, (0x80, 60, 0))])
        assert player.wait(lambda: START in told(real_time(player)), 3.0)
        begun_ns = next(event.time_ns for event in player.received if event.message[0] == START)
        kill(daemon.outlet)
        assert daemon.err.wait(lambda: bool(daemon.err.lines), 5.0)
        player.connect()
        connected_ns = time.perf_counter_ns()
        assert player.wait(lambda: len(real_time(player, connected_ns)) > 2 * PPQN, 4.0), "no clock"
        clock = real_time(player, connected_ns)
        assert abs(tempo(clock) / BPM - 1) < 0.02
        ticks_ms = [(event.time_ns - begun_ns) / MS for event in clock if event.message[0] == TICK]
        off_ms = off_line_ms([time_ms * BPM / 60e3 for time_ms in ticks_ms], lines=1 / PPQN)
        assert abs(statistics.median(off_ms)) < 60e3 / BPM / PPQN / 2.5, off_ms
    assert len(daemon.err.lines) == 1


def song_positions(events: list[Stamped], after_ns: int) -> list[int]:
    """The ticks of the song that had gone by at each click."""
    found, number, standing, rolls = [], 0, 0, False
    for event in events:
        if event.time_ns > after_ns:
            if event.message[0] == SONG_POSITION:
                standing = (event.message[1] | event.message[2] << 7) * TICKS_PER_SIXTEENTH
            elif event.message[0] in (START, CONTINUE):
                number, rolls = 0 if event.message[0] == START else standing, True
            elif event.message[0] == STOP:
                rolls = False
            elif event.message[0] == TICK:
                number += rolls
            elif event.note_on and event.channel == CLICK and rolls:
                found.append(number)
    return found


def test_it_trades_bars(env: Env) -> None:
    bar_s, rounds = 1.0, 3
    bpm = BAR_BEATS * 60 / bar_s
    bars = [eighths(5, bpm / 2) for _ in range(rounds)]
    phrase = [(at_s + 2 * n * bar_s, message) for n, notes in enumerate(bars) for at_s, message in notes[:-1]]
    lifted = [(4 * 60 / bpm + 2 * n * bar_s - 0.05, (0x80, SCALE[n], 0)) for n in range(rounds)]
    arguments = ("--mode", "trade", "--bars", "1", "--bpm", f"{bpm:g}", "--quantize", "1")
    with Daemon(env, *VIRTUAL, *arguments) as daemon, Player(env) as player:
        begun_ns = player.play(sorted([*phrase, *lifted]))[0].time_ns
        player.wait_for_quiet(1.2, 4.0)
        places = [(event.time_ns - begun_ns) / 1e9 / bar_s for event in player.notes(MACHINE)]
        assert {int(place) for place in places} == {1, 3, 5}, places
        assert player.sound() == (set(), set())
    assert daemon.err.lines == []


def test_a_beat_is_tapped(env: Env) -> None:
    spacing_s = 60 / BPM
    taps = sorted(event for n in range(5) for event in pressed(TAP_CC, n * spacing_s))
    with Daemon(env, *VIRTUAL, "--tap-cc", str(TAP_CC), "--click", "--clock-out") as daemon, Player(env) as player:
        first_ns = player.play(taps)[0].time_ns
        player.wait_for_notes(CLICK, 5, timeout_s=4.0)
        player.wait(lambda: False, 1.0)
        tapped_ns = first_ns + round(4 * spacing_s * 1e9)
        assert abs(tempo(real_time(player, tapped_ns)) / BPM - 1) < 0.02
        clicks = [(event.time_ns - first_ns) / 1e9 / spacing_s for event in player.notes(CLICK)]
        assert max(map(abs, off_line_ms(clicks, lines=1.0))) < LATE_MS, clicks
        assert clicks[0] > 1.5 and told(real_time(player))[-1] in (START, CONTINUE)
    assert daemon.err.lines == []


def test_of_two_clocks_the_named_one_counts(env: Env) -> None:
    with Master(env, "--virtual", "--to", "Drum Machine") as named, contextlib.ExitStack() as ends:
        ends.enter_context(Daemon(env, *BY_MIDI, "--clock-in", "drum machine", "--clock-out", "--click"))
        player, other = ends.enter_context(Player(env)), ends.enter_context(Master(env))
        other.start(90)
        player.wait(lambda: False, 0.7)
        assert real_time(player) == []
        begun_ns = named.start(BPM)
        clicks = player.wait_for_notes(CLICK, 6, timeout_s=6.0)
        assert max(map(abs, off_line_ms([named.beat(event.time_ns) for event in clicks], lines=1.0))) < LATE_MS
        assert abs(tempo(real_time(player, begun_ns + round(1e9))) / BPM - 1) < 0.02


def test_one_improv_is_the_master_of_another(env: Env, tmp_path: Path) -> None:
    master = ("--clock-out", "--click", "--bpm", str(BPM))
    slave = ("--clock", "midi", "--clock-in", "improv-out", "--click")
    with (
        Daemon(env, *VIRTUAL, *master) as one,
        Player(env, "--to", "improv in", "--from", "improv-out:improv out") as player,
        Daemon(env, *VIRTUAL, *slave) as two,
        Player(env, "--from", "improv-out-[0-9]+:improv out") as other,
    ):
        player.play([(0.0, (0x90, 60, 80)), (0.3, (0x80, 60, 0))])
        theirs = other.wait_for_notes(CLICK, 6, timeout_s=8.0)
        ours = player.wait_for_notes(CLICK, 6)
        assert len(theirs) >= 6
        apart_ms = [min((b.time_ns - a.time_ns for a in ours), key=abs) / 1e6 for b in theirs[2:]]
        assert abs(statistics.median(apart_ms)) < 15.0, apart_ms
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
        count = len(other.notes(CLICK))
        other.wait(lambda: False, 1.2)
        assert len(other.notes(CLICK)) <= count + 1
    assert one.err.lines == []
    assert all("went away" in line for line in two.err.lines)  # within a second: the one has left, ports and all


def test_it_joins_a_link_session(env: Env) -> None:
    pytest.importorskip("aalink")
    from tests.test_link import NO_MULTICAST, THEIR_BPM, Peer, others_meet

    with contextlib.closing(Peer(THEIR_BPM)) as peer:
        with Daemon(env, *VIRTUAL, "--clock", "link", "--click") as daemon, Player(env) as player:
            clicks = player.wait_for_notes(CLICK, 6, timeout_s=8.0)[-4:]
            (first, beat), *_, (last, last_beat) = peer.ask(beats=20)["beats"]
            beats = [beat + (event.time_ns - first) * (last_beat - beat) / (last - first) for event in clicks]
            together = max(map(abs, off_line_ms(beats, THEIR_BPM, lines=1.0))) < LATE_MS
            if not together and not others_meet():
                pytest.skip(NO_MULTICAST)
            assert together, beats
        assert daemon.err.lines == []


def test_without_its_library_link_is_refused_in_one_sentence(env: Env, tmp_path: Path) -> None:
    (tmp_path / "aalink.py").write_text("raise ImportError('none here')\n")
    (sentence,) = refused({**env, "PYTHONPATH": str(tmp_path)}, *VIRTUAL, "--clock", "link")
    assert INSTALL in sentence


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--in", "stage out", "--out", "stage in", "--clock", "midi", "--clock-in", "sundial"), "sundial"),
        (("--in", "stage", "--out", "stage", "--clock", "midi", "--clock-out"), "gives the clock itself"),
        (("--in", "stage", "--out", "builtin", "--clock-out", "--bpm", "96"), "takes no clock"),
    ],
    ids=["unknown clock", "clock to its own master", "clock to the synthesiser"],
)
def test_ports_that_cannot_be_are_refused_in_one_sentence(env: Env, arguments: tuple[str, ...], says: str) -> None:
    with Player(env, "--virtual", "--to", "Stage out", "--from", "Stage in"):
        (sentence,) = refused(env, "--api", "jack", *arguments)
    assert says in sentence


def refused(env: Env, *arguments: str) -> list[str]:
    """What is said on stderr."""
    command = [sys.executable, "-m", "improv", "listen", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20.0)
    assert done.returncode == 2 and done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.skipif(
    None in map(shutil.which, ("jack_midi_clock", "jack_transport", "jack_lsp")),
    reason="jack-midi-clock or JACK's own tools are not installed",
)
def test_it_follows_jack_midi_clock(env: Env) -> None:
    def jack(program: str, told: str = "") -> str:
        return subprocess.run([program], input=told, env=env, capture_output=True, text=True, timeout=9.0).stdout

    with Daemon(env, *BY_MIDI, "--click") as daemon, Player(env) as player:
        (port,) = [name for name in jack("jack_lsp").splitlines() if name.endswith(":improv in")]
        with subprocess.Popen(["jack_midi_clock", "-b", str(BPM), port], env=env, stdout=subprocess.DEVNULL) as clock:
            try:
                while "jack_midi_clock" not in jack("jack_lsp"):  # one that comes too late waits for a start
                    assert clock.poll() is None
                jack("jack_transport", "play\n")
                clicks = player.wait_for_notes(CLICK, 6, timeout_s=8.0)
                jack("jack_transport", "stop\n")
                stopped = len(player.notes(CLICK))
                player.wait(lambda: False, 0.8)
                assert len(player.notes(CLICK)) <= stopped + 1
            finally:
                clock.send_signal(signal.SIGINT)
    times = [event.time_ns for event in clicks]
    spacing_s = statistics.linear_regression(range(len(times)), times).slope / 1e9
    assert len(clicks) >= 6 and abs(spacing_s * BPM / 60 - 1) < 0.02
    assert daemon.err.lines == []
