"""What was marked while it was played: where it lies in a recording, and what is learnt from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the train extra")

from improv.midi import log
from improv.midi.recorder import recover
from improv.music.events import Heard, Mark, NoteOff, NoteOn
from improv.music.musicianship import Musicianship, Time
from improv.music.timeline import NS
from improv.net import codec
from tests import corpora
from tests.nets import lively
from tests.stage import Stage
from train import fit, tune
from train.corpora import marks
from train.corpora.marks import Marked
from train.corpora.pieces import Piece
from train.judge import evaluate
from train.network import likelihood, model
from train.network.augment import Amounts
from train.network.recipe import Recipe

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SHAPE = model.Shape(layers=1, units=16, context=8, what=16, velocity=8)
ONE = (60, 64, 67, 72, 71, 67, 65, 62)
OTHER = (61, 66, 58, 69, 63, 54, 70, 56)
PAUSE_NS = 5 * NS


def phrase(pitches: Sequence[int], begin_ns: int) -> list[Heard]:
    events: list[Heard] = []
    for i, pitch in enumerate(pitches):
        on_ns = begin_ns + i * NS // 4
        events += [NoteOn(on_ns, pitch, 60 + 4 * (i % 8)), NoteOff(on_ns + NS // 5, pitch)]
    return events


def recorded(folder: Path, tunes: Sequence[tuple[Sequence[int], int]], bpm: float | None = None) -> Path:
    """A folder with a take of some phrases, each with so many marks after its answer: good, or below 0 bad."""
    folder.mkdir(exist_ok=True)
    stage = Stage(lively(), Musicianship(time=Time(bpm=bpm)))
    heard: list[Heard] = []
    for i, (pitches, regard) in enumerate(tunes):
        begin_ns = NS + i * PAUSE_NS
        heard += phrase(pitches, begin_ns) + [Mark(begin_ns + PAUSE_NS - NS // 10, regard > 0)] * abs(regard)
    stage.play(heard, max(heard[-1].time_ns, NS + len(tunes) * PAUSE_NS))
    path = folder / "improv-a.log"
    header = log.Header("0", "", "", "", {}, {})
    path.write_text(log.header_line(header) + "".join(log.lines(stage.records)))
    assert recover(path) is not None
    return folder


def onsets(piece: Piece) -> list[int]:
    what = piece.columns["what"]
    return what[what < codec.OFF].tolist()


def the_piece(folder: Path) -> Piece:
    (path,) = folder.glob("*.mid")
    (piece,) = evaluate.read_midi(path)
    return piece._replace(name=f"{folder.name}/{path.name}")


@pytest.mark.parametrize("bpm", [None, 97.3])
def test_an_exchange_that_was_marked_is_found_in_the_file(bpm: float | None, tmp_path: Path) -> None:
    folder = recorded(tmp_path / "takes", [(ONE, 0), (OTHER, 2), (ONE, -1), (OTHER, 0)], bpm)
    piece = the_piece(folder)
    found, remarks = marks.of_folder(folder, [piece.name])
    good, bad = found[piece.name]
    assert (good.regard, bad.regard) == (2, -1) and good.end == bad.begin
    assert remarks == ["marked in their logs: 1 good, learnt from more often; 1 bad, left out"]
    for one, pitches in ((good, OTHER), (bad, ONE)):
        part = marks.between(piece, one.begin, one.end)
        assert onsets(part)[: len(pitches)] == list(pitches) and len(onsets(part)) > len(pitches)
    assert onsets(marks.between(piece, bad.end, 1.0))[: len(OTHER)] == list(OTHER)


def test_the_last_exchange_reaches_to_the_end_and_its_answer_counts(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "takes", [(ONE, 0), (OTHER, 1)])
    (one,) = marks.of_recording(folder / "improv-a.mid", folder / "improv-a.log")
    assert one.end == 1.0 and 0.3 < one.begin < 0.7


def test_good_is_learnt_from_once_or_twice_more_and_bad_is_left_out() -> None:
    piece = corpora.piece(1, 400)
    whole = onsets(piece)
    parts = marks.heeded(piece, [Marked(0.25, 0.5, 2), Marked(0.5, 0.75, -1)])
    assert [len(onsets(part)) for part in parts] == pytest.approx([200, 100, 100, 100], abs=3)
    assert onsets(parts[0])[:190] == whole[:190] and onsets(parts[1])[-90:] == whole[-90:]
    assert onsets(parts[2]) == onsets(parts[3]) == onsets(marks.between(piece, 0.25, 0.5))


def test_what_lies_in_the_parts_it_stops_on_is_not_learnt_from() -> None:
    piece = corpora.piece(1, 400)
    parts = tune.split([piece], {piece.name: [Marked(0.7, 0.85, 1), Marked(0.85, 1.0, 2), Marked(0.9, 0.95, -2)]})
    assert parts.by_time and len(parts.train) == 2 and len(parts.validation) == len(parts.test) == 1
    assert onsets(parts.train[0]) == onsets(marks.between(piece, 0.0, 0.8))
    assert onsets(parts.train[1]) == onsets(marks.between(piece, 0.7, 0.8))


@pytest.mark.parametrize("count", [3, 40])
def test_without_marks_all_is_as_before(count: int) -> None:
    found = [corpora.piece(seed, 60) for seed in range(count)]
    plain, marked = tune.split(found), tune.split(found, {"another": [Marked(0.0, 0.5, 1)]})
    for part, other in zip(plain[:3], marked[:3], strict=True):
        assert [piece.name for piece in part] == [piece.name for piece in other]
        for piece, same in zip(part, other, strict=True):
            assert all(np.array_equal(piece.columns[key], same.columns[key], equal_nan=True) for key in piece.columns)
    if count == 40:  # they are the very same
        assert {id(piece) for part in marked[:3] for piece in part} == {id(piece) for piece in found}


def test_files_without_a_log_or_with_a_damaged_one_have_no_marks(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "takes", [(ONE, 1), (OTHER, 0)])
    (path,) = folder.glob("*.log")
    path.write_bytes(path.read_bytes().replace(b'"mark"', b'"marc"'))
    found, remarks = marks.of_folder(folder, ["takes/improv-a.mid"])
    assert found == {} and len(remarks) == 1 and f"{path}: line " in remarks[0] and "is damaged" in remarks[0]
    path.unlink()
    assert marks.of_folder(folder, ["takes/improv-a.mid"]) == ({}, [])
    assert marks.of_folder(tmp_path / "takes.zip", ["takes/improv-a.mid"]) == ({}, [])


def learnt(parts: tune.Parts, folder: Path, licks: Sequence[Piece]) -> list[float]:
    """What each lick is to a small network that has learnt from those parts, in nats per note."""
    exact = Amounts(transpose=0, louder=0.0, faster=0.0, no_clock=0.0, jitter_ticks=0.0, midway=0.0)
    small = Recipe(
        "small", Path(), shape=SHAPE, batch=8, steps=32, updates=60, warmup=5, decay=20, learning_rate=1e-2,
        augment=exact, validate_every=60,
    )  # fmt: skip
    run = fit.Run(small, folder, fit.Music(parts.train, parts.validation))
    run.fit()
    scored = likelihood.network(likelihood.parameters(run.model), SHAPE, licks)
    return [sum(one.nats.values()) / one.piece.notes for one in scored]


def test_what_was_marked_good_is_preferred_to_what_was_marked_bad(tmp_path: Path) -> None:
    """Both were played as often; without marks they are 0.1 nats apart."""
    licks = [the_piece(recorded(tmp_path / f"lick {i}", [(pitches * 4, 0)])) for i, pitches in enumerate((ONE, OTHER))]
    parts, report = tune.own_pieces(recorded(tmp_path / "takes", [(ONE, 1), (OTHER, -1)] * 24), 1)
    assert "marked in their logs: 24 good, learnt from more often; 24 bad, left out" in report
    one, other = learnt(parts, tmp_path / "run", licks)
    assert other > one + 1
