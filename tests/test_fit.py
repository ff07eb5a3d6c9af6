"""A training run: it learns, it goes on where it was killed, it does not go on without a number for a loss."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("keras", reason="needs the train extra")

from improv.errors import BadInput
from tests import corpora
from train import batches, cli, fit, likelihood, model, recipe

# The ignored ones are TensorFlow's own, about NumPy 2.
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> recipe.Recipe:
    data = corpora.prepared(tmp_path_factory.mktemp("corpus"))
    shape = model.Shape(layers=1, units=16, context=8, what=16, velocity=8)
    return recipe.Recipe(
        "tiny", data, shape=shape, batch=4, steps=16, updates=24, warmup=3, learning_rate=1e-2, validate_every=12
    )


def test_prepare_keeps_the_good_and_says_what_it_dropped(tmp_path: Path) -> None:
    data = corpora.prepared(tmp_path, files=5)
    (corpus,) = batches.load(data)
    assert len(corpus.info["length"]) == 5
    again = corpora.improv_train("prepare", str(tmp_path / "tunes"), "--out", str(data))
    assert "prepared before, skipped" in again
    (data / "tunes.npz").unlink()
    fresh = corpora.improv_train("prepare", str(tmp_path / "tunes"), "--out", str(data))
    assert "5 kept, 1 it is truncated or damaged" in fresh


def test_it_learns_and_goes_on_where_it_was_killed(tiny: recipe.Recipe, tmp_path: Path) -> None:
    whole = fit.Run(tiny, tmp_path / "whole")
    whole.fit()
    curve = [row["nats_per_note"] for row in whole.history]
    assert len(curve) == 2
    assert curve[-1] < curve[0] - 0.5

    killed = fit.Run(tiny, tmp_path / "killed")
    batch, left = killed.streams.next, iter(range(15))

    def until_killed() -> batches.Batch:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return batch()

    killed.streams.next = until_killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        killed.fit()
    resumed = fit.Run(tiny, tmp_path / "killed")
    assert resumed.done == 12
    resumed.fit()
    ours, theirs = likelihood.parameters(whole.model), likelihood.parameters(resumed.model)
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, atol=1e-6, err_msg=name)
    assert [row["nats_per_note"] for row in resumed.history] == pytest.approx(curve, abs=1e-4)


def test_a_loss_that_is_no_number_stops_the_run(tiny: recipe.Recipe, tmp_path: Path) -> None:
    run = fit.Run(tiny, tmp_path)
    run.model.trainable_variables[0].assign(np.full(run.model.trainable_variables[0].shape, np.nan))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        run.fit()


def test_a_folder_keeps_to_one_recipe(tiny: recipe.Recipe, tmp_path: Path) -> None:
    fit.Run(tiny, tmp_path)
    assert recipe.read_recipe(tmp_path / "recipe.yaml") == tiny
    with pytest.raises(BadInput, match="another recipe"):
        fit.Run(replace(tiny, batch=8), tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\ndata: d\nlearning_rat: 1\n", "unknown key learning_rat; did you mean learning_rate?"),
        ("name: x\ndata: d\nbatch: many\n", "batch is 'many'; give a whole number"),
        ("name: x\ndata: d\nshape: {unit: 4}\n", "unknown key unit; did you mean units?"),
        ("name: x\ndata: d\ntier: closed\n", "tier is 'closed'; give open"),
        ("name: x\n", "the key data is missing"),
        ("- 1\n", "no keys in it"),
        ("name: [\n", "not YAML"),
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


def test_without_tensorflow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    (tmp_path / "recipe.yaml").write_text("name: x\ndata: d\n")
    result = CliRunner().invoke(cli.app, ["fit", str(tmp_path / "recipe.yaml")])
    assert result.exit_code == 2
    assert "pip install improv[train]" in result.stderr
