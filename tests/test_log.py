"""The log of a session: what is written is read back, and whatever stands in a file does no harm."""

from __future__ import annotations

import json
import os
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from improv.midi import files, log, recorder, wire
from improv.midi.frames import Sent
from improv.midi.log import BadLog, Gave, Header, Log, Record, Silence, Step
from improv.midi.recorder import recover
from improv.music.events import Heard, InputLost, NoteOff, NoteOn, Pedal, Played, Retime, Steer
from improv.music.timeline import NS, Timeline
from improv.music.turns import MODES

MS = 1_000_000
BEGIN_NS = 3_141_592_653_589
HEADER = Header("0.1.0", "2026-11-21T21:00:00+00:00", "open", "f" * 16, {"trunk": "0" * 64}, {"random_seed": 7})

times = st.integers(BEGIN_NS, BEGIN_NS + 10**15)
beats = st.floats(-1e9, 1e9)
lines = st.builds(
    Timeline, st.floats(1, 2000), times, beats, st.booleans(), beats,
    st.tuples(st.integers(1, 32), st.sampled_from([1, 2, 4, 8, 16, 32])),
)  # fmt: skip
FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    "pitch": st.integers(0, 127),
    "velocity": st.integers(1, 127),
    "sixteenths": st.integers(0, 0x3FFF),
    "timeline": lines,
    "mode": st.sampled_from(MODES),
    "time_ns": times,
    bool: st.booleans(),
    int: st.integers(-(1 << 62), 1 << 62),
    int | None: st.none() | st.integers(0, 1 << 62),
}


TURNS = [("style", None), ("style", "pop"), ("key", "D dorian"), ("key", "inferred"), ("voices", None), ("voices", 3)]
knobs = st.sampled_from(TURNS) | st.tuples(st.sampled_from(["density", "length"]), st.floats(-1e9, 1e9))


def events(kinds: Sequence[Any]) -> st.SearchStrategy[Any]:
    def built(kind: Any) -> st.SearchStrategy[Any]:
        if kind is Steer:
            return st.builds(lambda time_ns, turn: Steer(time_ns, *turn), times, knobs)
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{name: FIELDS.get(name, FIELDS.get(hint)) for name, hint in hints.items()})

    return st.one_of([built(kind) for kind in kinds])


def in_order(records: list[Record]) -> list[Record]:
    """With the times of the calls as they can be, beginning with a call."""
    calls = sorted(record.now_ns for record in records if isinstance(record, Step | Silence))
    return [Step(BEGIN_NS)] + [
        record._replace(now_ns=calls.pop(0)) if isinstance(record, Step | Silence) else record for record in records
    ]


RECORDS = st.lists(
    st.one_of(
        st.builds(Step, times, st.none()),
        st.builds(Step, times, events(typing.get_args(Heard))),
        st.builds(Silence, times),
        st.builds(lambda played: Gave(tuple(played)), st.lists(events(typing.get_args(Played)), min_size=1)),
        st.builds(Sent, times, times, st.builds(wire.spell, events([NoteOn, NoteOff, Pedal]), st.integers(1, 16))),
    )
).map(in_order)


def text(records: Sequence[Record]) -> bytes:
    return (log.header_line(HEADER) + "".join(log.lines(records))).encode()


def written(folder: Path, data: bytes) -> Path:
    path = folder / "improv-1.log"
    path.write_bytes(data)
    return path


def test_every_event_has_a_name_of_its_own() -> None:
    assert set(log.KINDS.values()) == {*typing.get_args(Heard), *typing.get_args(Played)}


@given(RECORDS)
def test_what_is_written_is_read_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    read = Log(written(tmp_path_factory.mktemp("log"), text(records)))
    found = list(read.records())
    assert found == records and read.header == HEADER
    assert [type(record) for record in found] == [type(record) for record in records]
    heard = [record.heard for record in records if isinstance(record, Step)]
    assert [type(record.heard) for record in found if isinstance(record, Step)] == [*map(type, heard)]


def test_steps_with_nothing_heard_share_lines_that_are_not_too_long() -> None:
    records = [Step((1 << 62) - 9_999 + number) for number in range(9_999)]
    found = list(log.lines(records))
    assert len(found) == 10 and max(map(len, found)) < log.MAX_LINE


# Damage

PLAYED: list[Record] = [
    Step(BEGIN_NS, NoteOn(BEGIN_NS, 60, 64)),
    Gave((Retime(BEGIN_NS, Timeline(96.0, BEGIN_NS, metric=True), jump=True),)),
    Step(BEGIN_NS + 300 * MS, NoteOff(BEGIN_NS + 300 * MS, 60)),
    Step(BEGIN_NS + 301 * MS),
    Step(BEGIN_NS + 400 * MS, Pedal(BEGIN_NS + 400 * MS, True)),
    Gave((NoteOn(BEGIN_NS + 900 * MS, 72, 80), NoteOff(BEGIN_NS + 950 * MS, 72))),
    Sent(BEGIN_NS + 900 * MS, BEGIN_NS + 901 * MS, wire.spell(NoteOn(0, 72, 80), 2)),
    Sent(BEGIN_NS + 950 * MS, BEGIN_NS + 951 * MS, wire.spell(NoteOff(0, 72), 2)),
    Silence(BEGIN_NS + 1_000 * MS),
]


def test_wherever_a_kill_cuts_it_what_stands_before_is_recovered(tmp_path: Path) -> None:
    whole, header = text(PLAYED), len(log.header_line(HEADER))
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n") and place >= header]
    for cut in range(header - 1, len(whole) + 1):
        path = written(tmp_path, whole[:cut])
        found = list(Log(path).records())
        assert found == PLAYED[: len(found)]
        assert len(found) == sum(end <= cut for end in ends)
        if midi := recover(path):
            score = files.read(midi)
            assert score.stuck == 0 and sum(isinstance(event, NoteOn) for event in score.events) in (1, 2)
        assert bool(midi) == bool(found)


@pytest.mark.parametrize("end", [b"\x00" * 4096, b"[1,2", b"}{\n", b"\xff\xfe\n"])
def test_whatever_the_last_line_is_it_does_no_harm(tmp_path: Path, end: bytes) -> None:
    assert list(Log(written(tmp_path, text(PLAYED) + end)).records()) == PLAYED


def test_damage_in_the_middle_is_said_and_what_stands_before_is_recovered(tmp_path: Path) -> None:
    path = written(tmp_path, text(PLAYED[:3]) + b"[1, oh\n" + text(PLAYED[3:]))
    with pytest.raises(BadLog, match=r"improv-1.log: line 5 is damaged; what was played before is in improv-1.mid$"):
        recover(path)
    assert [event.pitch for event in files.read(path.with_suffix(".mid")).events] == [60, 60]


NOW = BEGIN_NS + 2_000 * MS
HOSTILE = [
    [], {}, "step", 5, None, [[]], [None], [True], [1.5], ["nothing", 1], [-1], [NOW, "on"], [NOW, "on", NOW, 128, 1],
    [NOW, "on", NOW, 60, 0], [NOW, "on", NOW, 60.0, 1], [NOW, "on", NOW, True, 1], [NOW, "on", NOW, 60, 1, 1],
    [NOW, "yield", NOW, 0], [NOW, "__class__", NOW], [NOW, "on", 10**30, 60, 1], [10**30], [BEGIN_NS - 1],
    [NOW + log.LONGEST_NS], [NOW, "tick", NOW + 2 * log.LONGEST_NS], ["silence"], ["silence", "now"],
    ["gave", 5], ["gave", ["tick", NOW]], ["gave", ["on", NOW]], ["gave", [[], NOW]], ["sent", NOW, NOW],
    ["sent", NOW, NOW, 256], ["sent", NOW, NOW, -1], ["sent", NOW, NOW, 128, 128, 0], ["sent", NOW, NOW, 144, 60],
    ["sent", NOW, NOW, 1, 2, 3, 4], ["sent", NOW, NOW, "a"],
    ["gave", ["retime", NOW, [0.0, NOW, 0.0, True, 0.0, [4, 4]], False]],
    ["gave", ["retime", NOW, [float("nan"), NOW, 0.0, True, 0.0, [4, 4]], False]],
    ["gave", ["retime", NOW, [120.0, NOW, float("inf"), True, 0.0, [4, 4]], False]],
    ["gave", ["retime", NOW, [120.0, 0, 0.0, True, 0.0, [4, 3]], False]],
    ["gave", ["retime", NOW, [120.0, NOW, 0.0, True, 0.0, [0, 4]], False]],
    ["gave", ["retime", NOW, [120.0, -log.LONGEST_NS, 0.0, True, 0.0, [4, 4]], False]],
    ["gave", ["retime", NOW, 5, False]],
    [NOW, "steer", NOW, "style", "reggae"], [NOW, "steer", NOW, "key", "H"], [NOW, "steer", NOW, "key", 1],
    [NOW, "steer", NOW, "density", None], [NOW, "steer", NOW, "density", float("nan")], [NOW, "steer", NOW, "tone", 1],
    [NOW, "steer", NOW, "density", 10**400], [NOW, "steer", NOW, "density", True], [NOW, "steer", NOW, 5, 1],
]  # fmt: skip


@pytest.mark.parametrize("values", HOSTILE, ids=str)
def test_what_no_session_says_is_damage(tmp_path: Path, values: object) -> None:
    data = text(PLAYED) + (json.dumps(values) + "\n").encode() + b"[1]\n"
    path = written(tmp_path, data)
    with pytest.raises(BadLog, match=f"line {len(PLAYED) + 2} is damaged"):
        list(Log(path).records())


@pytest.mark.parametrize("data", [b"[" * 60_000 + b"\n", b"9" * 60_000 + b"\n", b" " * 200_000 + b"\n", b"a" * 200_000])
def test_a_line_that_is_too_deep_or_too_long_is_damage(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadLog, match="is damaged"):
        list(Log(written(tmp_path, text(PLAYED) + data + text(PLAYED))).records())


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b"", "is no log of improv, or was cut short"),
        (b"MThd\x00\x00\n", "is no log of improv"),
        (b"[1]\n", "is no log of improv"),
        (f'{{"improv-log": {log.FORMAT}}}\n'.encode(), "is no log of improv"),
        (b'{"improv-log": 1}\n', "another version of improv wrote it"),
        (b"{" + b'"a":{' * 50_000, "is no log of improv"),
        (log.header_line(HEADER).replace(str(log.FORMAT), "9", 1).encode(), "another version of improv wrote it"),
        (log.header_line(HEADER._replace(settings=[])).encode(), "line 1 is damaged"),  # type: ignore[arg-type]
        (log.header_line(HEADER._replace(weights=5)).encode(), "line 1 is damaged"),  # type: ignore[arg-type]
        (log.header_line(HEADER._replace(improv="\x1b[2J")).encode(), "line 1 is damaged"),
    ],
)
def test_what_does_not_begin_as_a_log_is_refused(tmp_path: Path, first: bytes, says: str) -> None:
    with pytest.raises(BadLog, match=says):
        Log(written(tmp_path, first))


def test_only_a_file_of_a_likely_size_is_opened(tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "pipe.log")
    for path in (fifo, tmp_path, Path("/dev/zero")):
        with pytest.raises(BadLog, match="is no ordinary file; name a log"):
            Log(path)
    with open(large := tmp_path / "large.log", "wb") as file:
        file.truncate(log.MAX_BYTES + 1)  # takes no room
    with pytest.raises(BadLog, match="larger than 256 MB"):
        Log(large)
    with pytest.raises(BadLog, match="cannot be read"):
        Log(tmp_path / "none.log")


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 500), st.integers(0, 50))
def test_bytes_that_were_changed_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, place: int, length: int
) -> None:
    whole, place = text(PLAYED), len(log.header_line(HEADER)) + place
    path = written(tmp_path_factory.mktemp("log"), whole[:place] + data + whole[place + length :])
    try:
        recover(path)
    except BadLog as error:
        assert "is damaged" in str(error)


@settings(max_examples=200)
@given(RECORDS)
@example([Step(NS, NoteOn(NS + 1, 0, 1)), Step(NS, InputLost(NS))])
def test_whatever_a_session_may_have_been_a_midi_file_comes_of_it(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    midi = recover(written(tmp_path_factory.mktemp("log"), text(records)))
    notes = sum(isinstance(record, Step) and isinstance(record.heard, NoteOn) for record in records)
    assert bool(midi) or not notes
    if midi is not None and notes:
        assert files.read(midi).stuck == 0


@pytest.mark.parametrize(("most", "count"), [("MOST_NOTES", 2), ("MOST_TIMELINES", 1)])
def test_what_is_too_long_for_a_file_is_made_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str, count: int
) -> None:
    monkeypatch.setattr(recorder, most, count)
    path = written(tmp_path, text(PLAYED))
    with pytest.raises(BadLog, match=r"longer than a MIDI file is to be; what was played before is in improv-1.mid$"):
        recover(path)
    assert len(files.read(path.with_suffix(".mid")).events) == 2
