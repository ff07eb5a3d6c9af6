"""The ends of phrases, judged: which excerpts, which silences, and the curves."""

from __future__ import annotations

import io
import json
from pathlib import Path

import mido
import numpy as np
import pytest
from rich.console import Console

from improv.music.events import NoteOff, NoteOn
from improv.music.timeline import NS
from improv.net import codec
from improv.net.codec import Quantiser
from tests import corpora
from tests.nets import FlatNet
from train.corpora.pieces import Piece, packed_held
from train.judge import phrases, plots, tables
from train.judge.phrases import Excerpt, Point, followed

MS = NS // 1000
TICK_MS = 1000 / 96


def piece(*notes: tuple[int, int, int], corpus: str = "made-up") -> Piece:
    """Free music of notes: milliseconds of onset and end, and a pitch."""
    events = [(round(on / TICK_MS), NoteOn(0, pitch, 80)) for on, _, pitch in notes]
    events += [(round(off / TICK_MS), NoteOff(0, pitch)) for _, off, pitch in notes]
    quantiser = Quantiser()
    tokens = [token for tick, event in sorted(events, key=lambda e: e[0]) for token in quantiser.add(tick, event)]
    tokens += quantiser.close(1 << 40)
    tick, what, velocity = (np.array(column) for column in zip(*tokens, strict=True))
    columns = {"dt": np.diff(tick, prepend=tick[0]), "what": what, "velocity": velocity}
    columns |= {"phase": np.full(len(tick), codec.NO_PHASE)}
    columns |= {name: np.full(len(tick), np.nan) for name in ("bar", "tempo")}
    return Piece(corpus, "one", columns, packed_held(what), 0, len(notes), float(tick[-1] / 96))


def steady(count: int, begin_ms: int = 0, length_ms: int = 200, spacing_ms: int = 250) -> list[tuple[int, int, int]]:
    onsets = [begin_ms + i * spacing_ms for i in range(count)]
    return [(onset, onset + length_ms, 60 + i % 7) for i, onset in enumerate(onsets)]


def excerpt(*events: tuple[str, int]) -> Excerpt:
    """One key, struck and released at milliseconds."""
    make = {"on": lambda t: NoteOn(t * MS, 60, 80), "off": lambda t: NoteOff(t * MS, 60)}
    return Excerpt("made-up", [make[kind](time_ms) for kind, time_ms in events])


def test_a_phrase_ends_with_the_piece_and_where_all_is_silent_for_two_seconds() -> None:
    music = piece(*steady(10), *steady(12, begin_ms=10 * 250 + 2200), *steady(9, begin_ms=22 * 250 + 2200 + 1500))
    found = phrases.ends_of(music, np.random.default_rng(1))
    assert len(found) == 2
    for one in found:
        lengths = [step.silence_s for step in followed(one)]
        assert one.heard[0].time_ns == 0 and lengths[-1] == np.inf and max(lengths[:-1]) < phrases.REST_S
        assert sum(isinstance(event, NoteOn) for event in one.heard) >= phrases.CHORDS[0]


def test_no_excerpt_reaches_back_over_an_end_or_too_far() -> None:
    slow = piece(*steady(60, length_ms=1200, spacing_ms=1250))
    (one,) = phrases.ends_of(slow, np.random.default_rng(2))
    assert one.heard[-1].time_ns <= (phrases.LONGEST_S + 2) * NS
    assert not phrases.ends_of(piece(*steady(phrases.CHORDS[0] - 1)), np.random.default_rng(1))


def test_every_rest_is_a_silence_and_the_last_one_has_no_end() -> None:
    steps = followed(excerpt(("on", 0), ("off", 200), ("on", 250), ("off", 400), ("on", 400), ("off", 500)))
    assert [step.silence_s for step in steps if step.silence_s > 0] == [pytest.approx(0.05), np.inf]


def test_a_fixed_wait_ends_the_phrase_in_each_rest_that_is_longer() -> None:
    one = excerpt(("on", 0), ("off", 200), ("on", 800), ("off", 1000), ("on", 1100), ("off", 1300))
    found = phrases.judge([one], FlatNet())
    assert {(p["setting"] < 0.6, p["false"]) for p in found["fixed"]} == {(True, 1.0), (False, 0.0)}
    assert all(p["median_s"] == pytest.approx(p["setting"]) for p in found["fixed"])


def test_a_long_last_note_is_known_for_the_end() -> None:
    short = excerpt(*((kind, i * 250 + at) for i in range(8) for kind, at in (("on", 0), ("off", 200))))
    long = Excerpt("made-up", [*short.heard[:-1], NoteOff(short.heard[-1].time_ns + NS, 60)])
    (after_short,), (after_long,) = (phrases.judge([one], FlatNet())["as set"] for one in (short, long))
    assert after_long["median_s"] == pytest.approx(0.3)
    assert after_short["median_s"] > 0.7


def test_where_the_network_expects_an_event_is_read_off_its_distribution() -> None:
    logp = np.full(codec.DTS, -np.inf)
    logp[[10, 50]] = np.log((0.5, 0.5))
    assert phrases.later_s(logp, 0.25) == pytest.approx(50.5 / 96)


def test_the_soonest_point_keeps_to_its_share_of_false_ends() -> None:
    points = [Point(s, false, s, s)._asdict() for s, false in ((0.3, 0.4), (0.8, 0.05), (1.2, 0.01))]
    best = phrases.soonest(points, 0.05)
    assert best is not None and best["setting"] == 0.8
    assert phrases.soonest(points, 0.001) is None


def test_the_curves_are_printed_and_drawn_by_corpus() -> None:
    pieces = [piece(*steady(20), corpus=corpus) for corpus in ("one", "two")]
    chosen = phrases.draw(pieces, 5, 1)
    found = phrases.judge(chosen, FlatNet())
    assert found["excerpts"] == 2 and set(found["by_corpus"]) == {"one", "two"}
    console = Console(width=tables.WIDTH, record=True, quiet=True)
    tables.show_phrases(found, console)
    axes = plots.phrases(found).axes
    assert [a.get_title() for a in axes[:3]] == ["all (2)", "one (1)", "two (1)"]


def test_the_command_prints_writes_and_draws_them(tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / f"{i}.mid").write_bytes(corpora.midi(i, 60))
    written, drawn = tmp_path / "phrases.json", tmp_path / "phrases.png"
    said = corpora.improv_train("phrases", "open", str(tmp_path), "--json", str(written), "--plot", str(drawn))
    assert "of 2 phrases" in said and "network" in said
    assert json.loads(written.read_text())["excerpts"] == 2 and drawn.read_bytes()[1:4] == b"PNG"


def test_music_without_a_phrase_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chords.mid").write_bytes(_one_chord())
    said = corpora.improv_train("phrases", "open", str(tmp_path), status=2)
    assert "no phrase of 8 chords or more" in said


def _one_chord() -> bytes:
    file, out = mido.MidiFile(ticks_per_beat=480), io.BytesIO()
    file.tracks.append(mido.MidiTrack())
    for on in (1, 0):
        for i in range(20):
            kind = "note_on" if on else "note_off"
            file.tracks[0].append(mido.Message(kind, note=40 + i, velocity=40 + i, time=960 * (i == 0 and not on)))
    file.save(file=out)
    return out.getvalue()
