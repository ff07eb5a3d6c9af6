"""A musician's own files: split honestly, learnt from, and never made worse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="needs the train extra")

from improv.errors import BadInput
from improv.net import codec, weights
from tests import corpora
from train import cli, fit, info, tune
from train.network import batches, model, recipe
from train.ship import export

# The ignored ones are TensorFlow's own, about NumPy 2.
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SHAPE = model.Shape(layers=1, units=16, context=8, what=16, velocity=8)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of weights that has heard next to nothing."""
    folder = tmp_path_factory.mktemp("base")
    data = corpora.prepared(folder)
    small = recipe.Recipe("small", data, shape=SHAPE, batch=4, steps=16, updates=2, warmup=1, decay=1)
    fit.Run(small, folder / "run", fit.music(small)).fit()
    export.export(folder / "run", folder / "small", baselines=False)
    return folder / "small"


def own_files(folder: Path, count: int, notes: int = 100) -> Path:
    folder.mkdir()
    for i in range(count):
        (folder / f"tune {chr(97 + i)}.mid").write_bytes(corpora.midi(50 + i, notes))
    return folder


def test_a_dozen_files_are_split_by_piece_and_takes_stay_together() -> None:
    found = [corpora.piece(seed, 60)._replace(name=f"song {chr(97 + seed // 2)} take {seed % 2}") for seed in range(40)]
    parts = tune.split(found)
    assert not parts.by_time
    assert [len(part) for part in parts[:3]] == [32, 4, 4]
    songs = [{piece.name[:6] for piece in part} for part in parts[:3]]
    assert not songs[0] & songs[1] and not songs[0] & songs[2] and not songs[1] & songs[2]


def test_numbered_pieces_are_pieces_and_a_piece_of_many_takes_is_learnt_from() -> None:
    numbered = [corpora.piece(seed, 20)._replace(name=f"solo_{seed:02}.mid") for seed in range(20)]
    assert [len(part) for part in tune.split(numbered)[:3]] == [16, 2, 2]
    takes = [corpora.piece(seed, 20)._replace(name=f"song ({seed}).mid") for seed in range(30)]
    others = [corpora.piece(seed, 20)._replace(name=f"{chr(97 + seed)}.mid") for seed in range(11)]
    parts = tune.split(takes + others)
    assert len(parts.train) >= 30 and parts.validation and parts.test
    assert all(piece.name.startswith("song") for piece in parts.train[-30:])


def test_a_few_files_are_split_by_time_and_no_note_is_in_two_parts() -> None:
    found = [corpora.piece(seed, 300) for seed in range(3)]
    parts = tune.split(found)
    assert parts.by_time
    for i, piece in enumerate(found):
        pieces = [part[i] for part in parts[:3]]
        assert sum(p.notes for p in pieces) == piece.notes
        assert pieces[0].notes == pytest.approx(0.8 * piece.notes, abs=3)
        for p in pieces:  # everything that ends has begun
            held = np.unpackbits(p.held, axis=1)[-1]
            assert held.sum() <= 3
            length = len(p.columns["dt"])
            whole = batches.window(p, 0, length)
            assert whole.allowed[0, np.arange(length), whole.targets["what"][0]].all()


def test_it_learns_from_a_musician_and_the_result_plays(base: Path, tmp_path: Path) -> None:
    files = own_files(tmp_path / "mine", 12)
    (files / "broken.mid").write_bytes(b"MThd\0\0")
    done = CliRunner().invoke(cli.app, ["tune", str(base), str(files), "--out", str(tmp_path / "me"), "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert "12 kept, 1 damaged" in done.output and "split by piece" in done.output
    assert "left out: mine/broken.mid: it is" in done.output and "CC BY 4.0" in done.output
    card, _ = weights.load(str(tmp_path / "me"))
    values = yaml.safe_load(card.text)
    worth = values["tuned"]["nats_per_note"]
    assert worth["after"] < worth["before"] and values["tuned"]["parameters"] == "tuned"
    assert f"{worth['before']:.3f} nats per note before, {worth['after']:.3f} after" in done.output
    assert values["held_out"]["nats_per_note"] == pytest.approx(worth["after"], abs=0.01)
    assert "tunes" in values["corpora"] and "me (own files)" in values["corpora"]
    assert values["tuned"]["from"] == "small" and card.fingerprint == codec.FINGERPRINT
    assert "0 files" not in "\n".join(map(str, info.info(str(tmp_path / "me"))))

    again = CliRunner().invoke(cli.app, ["tune", str(base), str(files), "--out", str(base), "--jobs", "1"])
    assert again.exit_code == 2 and "tuning did not make it; give another name" in again.stderr


def test_what_is_no_better_keeps_the_old_parameters(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = tune.split([corpora.piece(seed, 300) for seed in range(3)])
    wanted = tune.recipe
    monkeypatch.setattr(tune, "recipe", lambda *a: replace(wanted(*a), learning_rate=0.0, updates=2, decay=1))
    outcome = tune.tune(str(base), parts, tmp_path / "me", "improv-train tune")
    assert not outcome.better and "not better, so the old parameters are kept" in str(outcome)
    with np.load(base / "params.npz") as old, np.load(tmp_path / "me" / "params.npz") as new:
        for name in old.files:
            np.testing.assert_array_equal(old[name], new[name])
    assert yaml.safe_load(weights.Card.read(tmp_path / "me").text)["tuned"]["parameters"].startswith("those of small")


def test_too_little_music_is_refused(base: Path, tmp_path: Path) -> None:
    files = own_files(tmp_path / "mine", 2)
    with pytest.raises(BadInput, match="fewer than 500 notes"):
        tune.own_pieces(files, 1)


def test_a_place_that_is_taken_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tune.place("me") == Path("weights/me")
    (tmp_path / "weights" / "me").mkdir(parents=True)
    assert tune.place("me") == Path("weights/me")
    (tmp_path / "weights" / "me" / "notes.txt").touch()
    with pytest.raises(BadInput, match="weights/me is there already"):
        tune.place("me")


def test_info_tells_of_weights_runs_and_arrays(base: Path) -> None:
    done = CliRunner().invoke(cli.app, ["info", str(base), str(base.parent / "run"), str(base.parent / "data")])
    assert done.exit_code == 0, done.output
    assert "1 x 16 LSTM" in done.output and "CC BY 4.0" in done.output
    assert "validated at update 2 of 2" in done.output
    assert "permissive" in done.output and "tunes" in done.output
    (base / "card.yaml").write_text((base / "card.yaml").read_text().replace("\ncurve:", "\ncurves:"))
    older = CliRunner().invoke(cli.app, ["info", str(base)])
    assert older.exit_code == 2 and "its card.yaml is not as export writes it ('curve')" in older.stderr
    nothing = CliRunner().invoke(cli.app, ["info", "nothing"])
    assert nothing.exit_code == 2 and "no such set" in nothing.stderr
