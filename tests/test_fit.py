"""A training run: it learns, it goes on where it was killed, it does not go on without a number for a loss."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("keras", reason="needs the train extra")

from improv import shipped
from improv.errors import BadInput
from tests import corpora
from train import cli, fit
from train.corpora.pieces import load
from train.judge.evaluate import read_weights
from train.network import batches, likelihood, model, recipe

# The ignored ones are TensorFlow's own, about NumPy 2.
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> recipe.Recipe:
    data = corpora.prepared(tmp_path_factory.mktemp("corpus"))
    shape = model.Shape(layers=1, units=16, context=8, what=16, velocity=8)
    sizes = {"batch": 4, "steps": 16, "updates": 24, "warmup": 3, "decay": 6}
    return recipe.Recipe("tiny", data, shape=shape, **sizes, learning_rate=1e-2, validate_every=12)


def run(wanted: recipe.Recipe, folder: Path) -> fit.Run:
    return fit.Run(wanted, folder, fit.music(wanted))


def test_prepare_keeps_the_good_and_says_what_it_dropped(tmp_path: Path) -> None:
    data = corpora.prepared(tmp_path, files=5)
    (corpus,) = load(data)
    assert len(corpus.info["length"]) == 5
    again = corpora.improv_train("prepare", str(tmp_path / "tunes"), "--out", str(data))
    assert "prepared before, skipped" in again
    (data / "tunes.npz").unlink()
    fresh = corpora.improv_train("prepare", str(tmp_path / "tunes"), "--out", str(data))
    assert "5 kept, 1 damaged" in fresh


def test_it_learns_and_goes_on_where_it_was_killed(
    tiny: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "CHECKPOINT_S", 0.0)
    whole = run(tiny, tmp_path / "whole")
    whole.fit()
    curve = [row["nats_per_note"] for row in whole.history]
    assert len(curve) == 3
    assert curve[-1] < curve[0] - 0.5

    killed = run(tiny, tmp_path / "killed")
    batch, left = killed.streams.next, iter(range(15))

    def until_killed() -> batches.Batch:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return batch()

    killed.streams.next = until_killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        killed.fit()
    resumed = run(tiny, tmp_path / "killed")
    assert resumed.done == 15
    resumed.fit()
    ours, theirs = likelihood.parameters(whole.model), likelihood.parameters(resumed.model)
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, atol=1e-6, err_msg=name)
    assert [row["nats_per_note"] for row in resumed.history] == pytest.approx(curve, abs=1e-4)
    trained = [[row["train"] for row in found.history[1:]] for found in (whole, resumed)]
    assert trained[0] == pytest.approx(trained[1], abs=1e-4)
    assert list((tmp_path / "whole").glob("events.out.tfevents.*"))


def test_it_goes_on_from_weights_and_stops_when_it_no_longer_learns(tiny: recipe.Recipe, tmp_path: Path) -> None:
    open_ = read_weights(shipped.folder("weights") / "open")
    with pytest.raises(BadInput, match="weights open: their shape is"):
        fit.build(tiny, open_)
    network = fit.build(replace(tiny, shape=open_.shape), open_)
    assert network.get_layer("dropout_0").seed is not None  # PyTorch's own dice are in no checkpoint
    for name, value in likelihood.parameters(network).items():
        np.testing.assert_array_equal(value, open_.values[name].astype(np.float32))
    stale = run(replace(tiny, learning_rate=0.0, updates=100, validate_every=2, patience=3), tmp_path)
    stale.fit()
    assert stale.done == 6


def test_it_stops_when_told_and_can_be_made_longer(tiny: recipe.Recipe, tmp_path: Path) -> None:
    first = run(tiny, tmp_path)
    first.fit(lambda: first.done == 5)
    longer = run(replace(tiny, updates=30), tmp_path)
    assert longer.done == 5
    longer.fit()
    assert longer.done == 30


def test_the_learning_rate_rises_stays_and_falls() -> None:
    rate = fit.Trapezoid(2.0, 4, 10, 20)
    found = [float(rate(step)) for step in (0, 3, 9, 15, 20, 25)]
    assert found == pytest.approx([0.5, 2.0, 2.0, 1.0, 0.0, 0.0])


def test_a_loss_that_is_no_number_stops_the_run(tiny: recipe.Recipe, tmp_path: Path) -> None:
    broken = run(tiny, tmp_path)
    first = broken.model.trainable_variables[0]
    first.assign(np.full(first.shape, np.nan))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        broken.fit()


def test_a_damaged_checkpoint_and_other_music_are_refused(tiny: recipe.Recipe, tmp_path: Path) -> None:
    first = run(tiny, tmp_path)
    first.save()
    fewer = first.music._replace(train=first.music.train[1:])
    with pytest.raises(BadInput, match="not the music that"):
        fit.Run(tiny, tmp_path, fewer)
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadInput, match="it is damaged"):
        run(tiny, tmp_path)


def test_what_is_refused_leaves_no_run_behind(tiny: recipe.Recipe, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="their shape is"):
        fit.Run(tiny, tmp_path / "run", fit.music(tiny), read_weights(shipped.folder("weights") / "open"))
    with pytest.raises(BadInput, match="there is no tuness to train on"):
        fit.music(replace(tiny, emphasis={"tuness": 2.0}))
    assert not (tmp_path / "run").exists()


def test_the_sizes_of_parameters_are_those_of_the_network(tiny: recipe.Recipe) -> None:
    shape = replace(tiny.shape, layers=2)
    values = likelihood.parameters(model.build(shape, 1))
    assert model.fits(values, shape)
    first = next(iter(values))
    assert not model.fits({**values, first: values[first][1:]}, shape)
    assert not model.fits({**values, first: np.full_like(values[first], np.nan)}, shape)
    assert not model.fits({**values, "more": values[first]}, shape)


def test_a_folder_keeps_to_one_recipe(tiny: recipe.Recipe, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    assert recipe.read_recipe(tmp_path / "recipe.yaml") == tiny
    with pytest.raises(BadInput, match="another recipe"):
        run(replace(tiny, batch=8), tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\ndata: d\nlearning_rat: 1\n", "unknown key learning_rat; did you mean learning_rate?"),
        ("name: x\ndata: d\nbatch: many\n", "batch is 'many'; give a whole number"),
        ("name: x\ndata: d\nshape: {unit: 4}\n", "unknown key unit; did you mean units?"),
        ("name: x\ndata: d\nemphasis: [maestro]\n", "emphasis is ['maestro']; give names with a number each"),
        ("name: x\ndata: d\nemphasis: {maestro: much}\n", "emphasis.maestro is 'much'; give a number"),
        ("name: x\ndata: d\ntier: closed\n", "tier is 'closed'; give open"),
        ("name: x\ndata: d\nbatch: 0\n", "batch is 0; give more"),
        ("name: x\ndata: d\nshape: {units: -1}\n", "shape: units is -1; give 0 to"),
        ("name: x\ndata: d\ndropout: 1.5\n", "dropout is 1.5; give 0 to 1"),
        ("name: x\ndata: d\nclip: .nan\n", "clip is nan; give 0 to"),
        ("name: x\ndata: d\nlearning_rate: 1e-3\n", "learning_rate is '1e-3'; give a number such as 0.001"),
        ("name: ''\ndata: d\n", "give a name that a folder can have"),
        ("name: ../x\ndata: d\n", "give a name that a folder can have"),
        (5000 * "[", "malformed YAML"),
        ("name: x\n", "the key data is missing"),
        ("- 1\n", "no keys in it"),
        ("name: [\n", "malformed YAML"),
    ],
)
def test_a_bad_recipe_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        recipe.read_recipe(path)
    assert said in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit", "none.yaml"),
        ("prepare", "none", "--out", "data"),
        ("export", ".", "--out", "weights"),
        ("export", "none", "--out", "weights"),
        ("evaluate", ".", ".", "--part", "tset"),
        ("evaluate", "none", "."),
        ("evaluate", "open", ".", "--json", "."),
        ("phrases", "open", ".", "--part", "tset"),
        ("phrases", "open", ".", "--plot", "."),
        ("export", ".", "--out", "/dev/null/weights"),
        ("prepare", ".", "--out", "/dev/null"),
    ],
)
def test_the_command_line_refuses_in_one_line(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("improv-train: ") and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_backend_that_does_not_train_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    result = CliRunner().invoke(cli.app, ["info", str(tmp_path)])
    assert result.exit_code == 2
    assert "KERAS_BACKEND is numpy; make it one of tensorflow, torch, jax" in result.stderr


def test_without_tensorflow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    (tmp_path / "recipe.yaml").write_text("name: x\ndata: d\n")
    result = CliRunner().invoke(cli.app, ["fit", str(tmp_path / "recipe.yaml")])
    assert result.exit_code == 2
    assert "pip install improv[train]" in result.stderr
