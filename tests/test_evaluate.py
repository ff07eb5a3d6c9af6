"""What an evaluation counts, by hand; and the command over music of every kind."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

pytest.importorskip("tensorflow", reason="needs the train extra")

from improv.errors import BadInput
from improv.music.damper import Damper
from improv.music.events import NoteOff, NoteOn, Retime
from improv.music.timeline import NS, Timeline
from improv.net import codec
from tests import corpora, nets
from train import cli
from train.corpora.pieces import Piece, packed_held
from train.judge import continuator, copying, evaluate, excerpts, hears, likeness, plays, remembers
from train.judge import notes as notation
from train.judge.notes import Notes
from train.network import batches, likelihood, model
from train.network.augment import Augment
from train.ship import graphs

# The ignored ones are TensorFlow's own, about NumPy 2.
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SHAPE = model.Shape(layers=1, units=16, context=8, what=12, velocity=12)
PIECES = [corpora.piece(seed, 120 + 20 * seed) for seed in range(3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights that nobody trained: fresh parameters, made larger, so that its answers differ."""
    folder = tmp_path_factory.mktemp("weights")
    rng = np.random.default_rng(5)
    fresh = likelihood.parameters(model.build(SHAPE, 1))
    values = {name: value + rng.normal(0, 0.2, value.shape).astype(np.float32) for name, value in fresh.items()}
    graphs.write(values, SHAPE, "float32", folder)
    np.savez(folder / "params.npz", **values)
    card = {
        "notice": "none",
        "licence": "CC0",
        "fingerprint": codec.FINGERPRINT,
        "form": "float32",
        "tier": "open",
        "shape": vars(SHAPE),
        "held_out": {"split": "split", "nats_per_note": 9.0},
        "styles": {"pop": 1000, "classical": 2000, "song": 1},
    }
    (folder / "card.yaml").write_text(yaml.safe_dump(card))
    return folder


@pytest.fixture(scope="module")
def weights(folder: Path) -> evaluate.Weights:
    return evaluate.read_weights(folder)


@pytest.fixture(scope="module")
def scored(weights: evaluate.Weights) -> list[likelihood.Scored]:
    return evaluate.by_token(weights.values, weights.shape, PIECES, "network")


def melody(
    pitch: list[int] | np.ndarray, tick: list[int] | np.ndarray | None = None, velocity: int | list[int] = 64
) -> Notes:
    """Notes of a quarter of a second, one every 24 ticks unless said otherwise."""
    pitch = np.array(pitch)
    tick = 24 * np.arange(len(pitch)) if tick is None else np.array(tick)
    velocities = np.broadcast_to(velocity, pitch.shape)
    return Notes(tick, tick / 96, np.full(len(pitch), 0.25), pitch, np.array(velocities))


# Notes


def test_a_piece_is_notes_again() -> None:
    found = notation.notes(PIECES[0])
    assert len(found.tick) == PIECES[0].notes
    assert found.tick[:4].tolist() == [0, 0, 24, 24] and found.start[2] == pytest.approx(0.25)
    assert found.pitch[0] < found.pitch[1]  # the bass of a chord comes first
    assert found.length[1] == pytest.approx(0.25) and found.length[0] == pytest.approx(0.1875, abs=0.01)


def test_seconds_follow_the_tempo() -> None:
    columns = {**PIECES[0].columns, "tempo": np.full_like(PIECES[0].columns["tempo"], 1)}  # an octave above 120 bpm
    half = notation.seconds(PIECES[0]._replace(columns=columns))
    np.testing.assert_allclose(half, notation.seconds(PIECES[0]) / 2, rtol=1e-3)


def test_a_rolled_chord_runs_upwards() -> None:
    assert notation.in_order(melody([67, 60, 64, 50], [0, 1, 2, 24])).pitch.tolist() == [60, 64, 67, 50]


# Likeness


def test_pitch_classes_by_hand() -> None:
    assert likeness.pitch_class_overlap(melody([60, 64, 67, 72]), melody([48, 52, 55, 84])) == 1
    assert likeness.pitch_class_overlap(melody([60, 62]), melody([61, 63])) == 0
    assert likeness.pitch_class_overlap(melody([60, 60, 62, 64]), melody([60, 62, 62, 65])) == pytest.approx(0.5)


def test_density_counts_chords_once() -> None:
    chords = melody([60, 64, 60, 64], [0, 1, 48, 48])
    assert likeness.density_ratio(chords, melody([60, 62, 64, 65])) == pytest.approx(0.5)


def test_ranges_by_hand() -> None:
    assert likeness.semitones(melody([60, 72, 65])) == 12
    assert likeness.range_overlap(melody([60, 69]), melody([65, 74])) == pytest.approx(5 / 15)
    assert likeness.range_overlap(melody([60, 62]), melody([70, 72])) == 0


def test_overlapping_areas_by_hand() -> None:
    """Two Gaussians of width 2 whose middles lie 4 apart share 2 Phi(-1)."""
    assert likeness.velocity_overlap(melody([60] * 9), melody([70] * 9)) == pytest.approx(1, abs=1e-3)
    share = likeness.velocity_overlap(melody([60] * 9, velocity=64), melody([60] * 9, velocity=68))
    assert share == pytest.approx(math.erfc(1 / math.sqrt(2)), abs=0.01)
    assert likeness.velocity_overlap(melody([60] * 9, velocity=0), melody([60] * 9)) is None
    slow, quick = melody([60] * 9, 48 * np.arange(9)), melody([60] * 9, 24 * np.arange(9))
    assert likeness.wait_overlap(quick, quick) == pytest.approx(1, abs=1e-3)
    assert likeness.wait_overlap(slow, quick) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("tonic", "steps"), [(2, likeness.MAJOR_SCALE), (9, (0, 2, 3, 5, 7, 8, 11))])
def test_the_key_of_a_scale_is_found(tonic: int, steps: tuple[int, ...]) -> None:
    prime = melody([60 + tonic + step for step in (*steps, 12, 7, 12, 0)])
    found = likeness.scale(prime)
    assert likeness.in_scale(prime, found) == 1
    assert likeness.in_scale(melody([60 + tonic, 61 + tonic]), found) == 0.5


# Copies


def wandering(seed: int, notes: int) -> Notes:
    rng = np.random.default_rng(seed)
    waits = rng.choice([0, 12, 24, 48], notes)
    return notation.in_order(melody(rng.integers(36, 84, notes), np.cumsum(waits)))


def test_a_planted_copy_is_found_in_another_key_and_a_little_late() -> None:
    heard = copying.join([wandering(1, 500), wandering(2, 500)])
    source, other = wandering(2, 500).part(slice(200, 231)), wandering(9, 40)
    pitch = np.concatenate((other.pitch[:20], source.pitch + 5, other.pitch[20:]))
    late = source.tick + np.where(np.diff(source.tick, prepend=-99) > 2, np.arange(31) % 2, 0)
    late = late - late[0] + other.tick[19] + 24
    tick = np.concatenate((other.tick[:20], late, other.tick[20:] - other.tick[20] + late[-1] + 24))
    planted = melody(pitch, tick)
    (found,) = copying.copied([planted], heard)
    assert found.grams == 71 - copying.STEPS
    assert found.found >= 20 and 28 <= found.longest <= 32
    (exact,) = copying.copied([source], heard)
    assert exact == copying.Copied(23, 23, 30) and exact.share == 1


def test_a_random_answer_is_no_copy() -> None:
    heard = copying.join([wandering(seed, 2000) for seed in range(5)])
    assert all(found.found == 0 and found.longest == 0 for found in copying.copied([wandering(99, 200)], heard))


def test_a_copy_does_not_run_on_over_the_border_of_two_pieces() -> None:
    whole = wandering(3, 40)
    heard = copying.join([whole.part(slice(0, 20)), whole.part(slice(20, 40))])
    (found,) = copying.copied([whole], heard)
    assert found.longest == 19 and found.found == 2 * (19 - copying.STEPS + 1)


def test_nothing_to_look_for_and_nothing_heard() -> None:
    assert copying.copied([], copying.join([wandering(1, 50)])) == []
    assert copying.copied([melody([60, 62])], copying.join([])) == [copying.Copied(0, 0, 0)]


# The Markov continuator


def test_the_continuator_goes_on_as_it_heard() -> None:
    figure = [60, 64, 67, 72] * 5
    played = continuator.Continuator([melody(figure)]).go_on(melody(figure), 0.0, 4.0, 1 / 96, np.random.default_rng(1))
    assert played.pitch.tolist() == [60, 64, 67, 72] * 4
    assert played.tick.tolist() == [24 * i for i in range(16)]
    assert played.start[-1] + played.length[-1] <= 4.0


def test_the_continuator_plays_only_what_it_heard() -> None:
    prime = wandering(4, 60)
    played = continuator.Continuator([prime]).go_on(prime, 0.0, 8.0, 1 / 96, np.random.default_rng(2))
    assert set(played.pitch.tolist()) <= set(prime.pitch.tolist()) and played.start[0] == 0
    again = continuator.Continuator([prime]).go_on(prime, 0.0, 8.0, 1 / 96, np.random.default_rng(2))
    assert again.pitch.tolist() == played.pitch.tolist()


# Excerpts, and what is played after them


def retempoed(piece: Piece) -> Piece:
    """Faster from its middle on."""
    tempo = piece.columns["tempo"].copy()
    tempo[len(tempo) // 3 :] = 0.5
    return piece._replace(columns={**piece.columns, "tempo": tempo})


@pytest.mark.parametrize("piece", [PIECES[2], retempoed(PIECES[2])])
def test_an_excerpt_is_heard_as_the_piece_was_written(piece: Piece) -> None:
    """Through the ears of the engine it gives the tokens of the piece, beats and all."""
    whole = notation.notes(piece)
    excerpt = excerpts.at(piece, whole, float(whole.start[20]))
    damper, quantiser, line = Damper(), codec.Quantiser(), Timeline()
    tokens: list[codec.Token] = []
    phases = []
    for event in excerpt.heard:
        if isinstance(event, Retime):
            line = event.timeline
        else:
            for sounding in damper.hear(event):
                tokens += quantiser.add(line.tick(event.time_ns), sounding)
                phases.append(
                    (codec.phase(line, line.tick(event.time_ns)), line.bar_position(line.tick(event.time_ns)))
                )
    tokens += quantiser.close(2**40)
    begin = int(np.flatnonzero(piece.columns["what"] < codec.OFF)[20])
    rows = slice(begin, begin + len(tokens))
    offs_before = np.flatnonzero(piece.columns["what"][:begin] < codec.OFF)
    assert len(offs_before) == 20
    said = [(t.what, t.velocity) for t in tokens if t.what < codec.OFF]
    on = piece.columns["what"][begin:] < codec.OFF
    columns = [piece.columns[name][begin:][on][: len(said)].tolist() for name in ("what", "velocity")]
    assert said == list(zip(*columns, strict=True))
    ticks = np.cumsum(piece.columns["dt"].astype(int))[begin:][on][: len(said)]
    assert np.diff([t.tick for t in tokens if t.what < codec.OFF]).tolist() == np.diff(ticks).tolist()
    assert phases[0][0] == piece.columns["phase"][rows][0]
    assert phases[0][1] == pytest.approx(float(piece.columns["bar"][rows][0]), abs=0.01)
    assert 8 <= excerpt.ask_s < 8.5


def test_the_prime_ends_where_the_truth_begins() -> None:
    whole = notation.notes(PIECES[2])
    excerpt = excerpts.at(PIECES[2], whole, float(whole.start[20]))
    assert excerpt.prime.start[0] == 0 and excerpt.truth.start[0] == 0 == excerpt.truth.tick[0]
    assert (excerpt.prime.start + excerpt.prime.length).max() <= excerpt.ask_s + 1e-9
    assert excerpt.truth.start.max() < 8 and (excerpt.truth.start + excerpt.truth.length).max() <= 8 + 1e-9
    followed = len(excerpt.prime.tick)
    assert excerpt.truth.pitch[:10].tolist() == whole.pitch[20 + followed : 30 + followed].tolist()


def test_excerpts_are_spread_over_the_corpora() -> None:
    long = [corpora.piece(seed, 200, corpus) for seed, corpus in enumerate("aab")]
    drawn = excerpts.draw(long, 6, seed=3)
    assert [e.piece.corpus for e in drawn] == ["a"] * 3 + ["b"] * 3
    assert [e.ask_s for e in drawn] == [e.ask_s for e in excerpts.draw(long, 6, seed=3)]
    assert excerpts.draw([corpora.piece(1, 30)], 6, seed=3) == []


def test_what_is_played_lasts_eight_seconds_and_is_compared() -> None:
    long = [corpora.piece(seed, 200) for seed in range(4)]
    chosen = excerpts.draw(long, 4, seed=1)
    played = plays.perform_all(nets.lively(), chosen, long, seed=1)
    assert {p.player for p in played} == set(plays.PLAYERS)
    for performance in played:
        assert performance.notes.start.min() == 0 and performance.notes.start.max() < 8.0
        assert (performance.notes.start + performance.notes.length).max() <= 8.02
    heard = copying.join([notation.notes(piece) for piece in long])
    figures = plays.figures(played, heard)
    truth, network = figures["players"]["truth"], figures["players"]["network"]
    assert figures["excerpts"] == 4 and list(figures["by_corpus"]) == ["own"]
    assert truth["pitch_classes"] == pytest.approx(1) and truth["density"] == 1 and truth["range"] == 1
    assert truth["copied_8grams"] == 1 and figures["players"]["continuator_all"]["copied_8grams"] > 0.5
    assert network["copied_8grams"] == 0 == network["longest_copied"]  # it plays whatever comes
    assert network["pitch_classes"] < 0.9
    assert "copied_8grams" not in plays.figures(played, None)["players"]["truth"]


def test_what_sounds_in_an_answer_is_counted_from_the_question() -> None:
    line = Timeline(120.0)
    events = [NoteOn(3 * NS, 60, 70), NoteOn(3 * NS, 64, 70), NoteOff(4 * NS, 60), NoteOff(5 * NS, 64)]
    found = plays.sounded(events, line, 2 * NS)
    assert found.tick.tolist() == [96, 96] and found.length.tolist() == [1.0, 2.0] and found.pitch.tolist() == [60, 64]


# What it hears


def test_token_by_token_is_the_same_in_all(weights: evaluate.Weights, scored: list[likelihood.Scored]) -> None:
    together = [s.total for s in likelihood.by_token(weights.values, SHAPE, PIECES, batch=2, steps=64)]
    for one, other in zip(scored, together, strict=True):
        assert one.total.nats == pytest.approx(other.nats, rel=1e-4)
    assert hears.per_note(scored) == pytest.approx(likelihood.total(together).nats_per_note, rel=1e-4)


def test_players_are_told_as_training_tells_them(weights: evaluate.Weights) -> None:
    piece = PIECES[1]
    split = int(np.median(piece.columns["what"][piece.columns["what"] < codec.OFF]))
    who = np.where(piece.columns["what"] % codec.PITCHES < split, 1, 2)
    (told,) = evaluate.by_token(weights.values, weights.shape, [piece], "who", [who])
    window = batches.window(piece, 0, 300, Augment(who_split=split))
    graph = model.build(SHAPE, 1)
    likelihood.load_parameters(graph, weights.values)
    logp = graph.predict_on_batch(batches.inputs(window))["what"][0][: len(who)]
    came = -np.take_along_axis(logp, window.targets["what"][0][: len(who), None], 1)[:, 0]
    np.testing.assert_allclose(told.nats[: len(came), 1], came[: len(told.nats)], atol=1e-4)


def test_the_first_minute_and_the_rest_are_all(scored: list[likelihood.Scored]) -> None:
    long = corpora.piece(1, 600)
    slow = likelihood.Scored.blank(long)
    slow.nats[:, 1] = np.where(notation.seconds(long) < 60, 1.0, 3.0)
    found = hears.early_and_later([slow])
    assert found["first_minute"] == {"notes": 480, "nats_per_note": pytest.approx(2.0, abs=0.01)}
    assert found["later"]["notes"] == 120 and found["later"]["nats_per_note"] == pytest.approx(6.0, abs=0.05)
    assert "later" not in hears.early_and_later(scored)
    assert hears.by_time([slow])["by_corpus"] == {"own": found}


def twice(piece: Piece) -> Piece:
    columns = {name: np.concatenate((column, column)) for name, column in piece.columns.items()}
    held = packed_held(columns["what"])
    return piece._replace(columns=columns, held=held, notes=2 * piece.notes, seconds=2 * piece.seconds)


def test_a_memory_of_the_first_half_is_worth_much_where_the_second_is_like_it(weights: evaluate.Weights) -> None:
    source = [twice(corpora.piece(5, 100, "again")), corpora.piece(6, 100, "another")]
    scored = evaluate.by_token(weights.values, weights.shape, source, "network")
    found = remembers.second_halves(scored, 1)
    own = found["by_corpus"]["again"]
    assert own["notes"] == 100 and found["pieces"] == 2
    assert own["with"]["what"] < own["without"]["what"] / 2 and own["with"]["dt"] < own["without"]["dt"]
    assert own["with"]["velocity"] == own["without"]["velocity"]
    assert own["without"]["total"] == pytest.approx(sum(own["without"][name] for name in likelihood.ATTRIBUTES))


def test_with_the_memory_the_chances_still_make_one(weights: evaluate.Weights) -> None:
    """What came is replaced by each thing that could have come."""
    piece = twice(corpora.piece(5, 30))
    row = len(piece.columns["what"]) - 3
    allowed = batches.window(piece, 0, row + 1).allowed[0, row]
    total = 0.0
    for what in np.flatnonzero(allowed):
        column = piece.columns["what"][: row + 1].copy()
        column[row] = what
        columns = {name: own[: row + 1] for name, own in piece.columns.items()} | {"what": column}
        asked = piece._replace(columns=columns, held=packed_held(column))
        (scored,) = evaluate.by_token(weights.values, weights.shape, [asked], "network")
        total += np.exp(-remembers.remembered(scored).nats[row, 1])
    assert total == pytest.approx(1, abs=1e-3)


def test_calibration_by_hand() -> None:
    """Nine of ten right at 0.6, none of ten at 0.2: off by 0.3 and by 0.2."""
    blank = likelihood.Scored.blank(PIECES[0])
    blank.counts[:20, 0] = True
    blank.sure[:10, 0], blank.sure[10:20, 0] = 0.6, 0.2
    blank.right[:9, 0] = True
    found = hears.calibration([blank])
    assert found["dt"]["expected_calibration_error"] == pytest.approx(0.25)
    assert [each["right"] for each in found["dt"]["bins"]] == pytest.approx([0.0, 0.9])
    assert sum(each["share"] for each in found["dt"]["bins"]) == 1 and list(found) == ["dt"]
    assert hears.accuracy([blank]) == {"dt": 0.45, "what": None, "velocity": None}


def test_a_session_is_its_pieces_one_after_the_other(
    weights: evaluate.Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = hears.end_to_end(PIECES)
    assert joined.notes == sum(piece.notes for piece in PIECES)
    assert (joined.held == packed_held(joined.columns["what"])).all()
    assert PIECES[1].columns["dt"][0] == 0  # the pieces stay as they were
    scored = evaluate.by_token(weights.values, weights.shape, [piece._replace(style=1) for piece in PIECES], "network")
    assert hears.long_session(weights, scored, 1) == {}  # too little music
    monkeypatch.setattr(hears, "LONG_S", 16.0)
    found = hears.long_session(weights, scored, 1)["own"]
    assert found["fresh"] != found["carried"] and found["notes"] < sum(piece.notes for piece in PIECES)
    monkeypatch.setattr(hears, "LONG_S", 0.0)  # the first piece of a session is heard afresh
    monkeypatch.setattr(hears, "_session", lambda *_: ([], scored[:1]))
    found = hears.long_session(weights, scored, 1)["own"]
    assert found["fresh"] == pytest.approx(found["carried"], rel=1e-5)


def test_what_it_is_told_changes_what_it_expects(weights: evaluate.Weights, scored: list[likelihood.Scored]) -> None:
    style = hears.style(weights, scored, 1)
    assert set(style) == {"classical", "song"}  # of the pieces; the unknown style is none
    assert len({style["song"][how] for how in ("right", "none", "wrong")}) == 3
    assert set(style["song"]["by_wrong_style"]) == {"pop", "classical"}
    metre, who = hears.metre(weights, scored, 1), hears.who(weights, scored, 1)
    assert metre["with"] == pytest.approx(hears.per_note(scored)) and metre["with"] != metre["without"]
    assert who["upper"]["notes"] + who["lower"]["notes"] == metre["notes"] == sum(piece.notes for piece in PIECES)
    parts = sum(who[part]["notes"] * who[part]["without"] for part in who)
    assert parts / metre["notes"] == pytest.approx(metre["with"])
    free = [s._replace(piece=hears.without_clock(s.piece)) for s in scored]
    assert hears.metre(weights, free, 1) == {}


def test_388_events_by_hand() -> None:
    piece = corpora.piece(4, 60)
    columns = {name: column[:4] for name, column in piece.columns.items()}
    columns |= {
        "dt": np.array([0, 48, 0, 240], np.uint16),
        "what": np.array([60, 64, codec.OFF + 60, codec.OFF + 64]),
        "velocity": np.array([16, 16, 32, 32]),
        "tempo": np.full(4, np.nan, np.float16),
    }
    # Two note-ons, two note-offs, one velocity; half a second is one shift, two and a half are three.
    assert evaluate.events_388(piece._replace(columns=columns)) == 4 + 1 + 1 + 3


# The command


def run(*arguments: object, status: int = 0) -> Result:
    done = CliRunner().invoke(cli.app, ["evaluate", *map(str, arguments)])
    assert done.exit_code == status, done.output
    return done


def test_a_folder_of_files_as_they_lie_about(tmp_path: Path, folder: Path) -> None:
    music = tmp_path / "some folder"
    (music / "deeper" / "still").mkdir(parents=True)
    (music / "one.mid").write_bytes(corpora.midi(1, 200))
    (music / "deeper" / "two.MIDI").write_bytes(corpora.midi(2, 200))
    (music / "deeper" / "still" / "torn.mid").write_bytes(corpora.midi(3, 200)[:300])
    (music / "deeper" / "empty.mid").write_bytes(b"")
    (music / "notes.txt").write_text("not music")
    (music / "weights.npz").write_bytes(b"not arrays")
    (music / "cover.jpg").write_bytes(bytes(range(256)))
    figures, plots = tmp_path / "figures.json", tmp_path / "plots"
    done = run(folder, music, "--json", figures, "--plots", plots, "--excerpts", 3)
    assert "torn.mid: left out" in done.stderr and "empty.mid: left out" in done.stderr
    assert "with a memory of the first" in done.stdout
    assert "copy rate" in done.stdout and "what really followed" in done.stdout
    found = json.loads(figures.read_text())
    wanted = {"notes", "nats_per_note", "nats_per_note_10ms", "nats_per_event_388", "by_attribute", "by_corpus"}
    assert wanted | {"accuracy", "calibration", "by_time", "memory", "style", "metre", "who", "plays"} <= set(found)
    assert found["pieces"] == 2 and found["plays"]["excerpts"] == 3 and found["baselines"] == {}
    assert {path.name for path in plots.iterdir()} == {
        *("nats.png", "calibration.png", "plays.png"),
        *(f"roll-{i}.png" for i in (1, 2, 3)),
    }


def test_mistakes_are_one_sentence(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "a.mid").write_bytes(corpora.midi(1, 100))
    for arguments, said in (
        ((tmp_path / "nothing",), "nothing"),
        ((tmp_path / "none",), "no such file"),
        ((tmp_path / "a.mid", "--split", "mine"), "--split mine"),
        ((tmp_path / "a.mid", "--json", tmp_path / "no" / "f.json"), "--json"),
        ((tmp_path / "a.mid", "--plots", tmp_path / "a.mid"), "--plots"),
    ):
        done = run(folder, *arguments, status=2)
        assert said in done.stderr and done.stderr.count("improv-train: ") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("params.npz", lambda data: data[:500], "its params.npz is damaged"),
        ("params.npz", lambda data: b"\x93NUMPY", "its params.npz is damaged"),
        ("card.yaml", lambda data: data.replace(b"units: 16", b"units: 17"), "no network of the shape"),
        ("card.yaml", lambda data: data.replace(b"units: 16", b"units: many"), "states no shape, tier and split"),
        ("card.yaml", lambda data: data.replace(b"tier: open", b"tier: own"), "states no shape, tier and split"),
    ],
)
def test_weights_that_are_damaged_or_of_another_shape(
    name: str, change: Callable[[bytes], bytes], said: str, tmp_path: Path, folder: Path
) -> None:
    shutil.copytree(folder, tmp_path / "bad")
    path = tmp_path / "bad" / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BadInput, match=said):
        evaluate.read_weights(tmp_path / "bad")


def test_a_chord_of_no_length_is_scored(weights: evaluate.Weights) -> None:
    found = evaluate.summary(evaluate.network(weights.values, SHAPE, [PIECES[0]._replace(seconds=0.0)]))
    assert found["nats_per_second"] is None and found["nats_per_note"] > 0


def test_the_split_is_the_one_it_was_trained_on(tmp_path: Path, folder: Path) -> None:
    assert evaluate.read_weights(folder).split == "split"
    path = tmp_path / "a.mid"
    path.write_bytes(corpora.midi(1, 100))
    assert "was trained on split" in run(folder, path, "--split", "split_free", "--excerpts", 0).stderr
    assert "was trained on" not in run(folder, path, "--excerpts", 0).stderr
