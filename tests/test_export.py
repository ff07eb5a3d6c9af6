"""The exported graphs say what the training graph says, and the folder is one that improv loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="needs the train extra")

from improv.net import codec, weights
from improv.net.stepper import Stepper
from tests import corpora
from train import cli, fit
from train.network import likelihood, model, recipe
from train.ship import export, graphs

# The ignored ones are TensorFlow's own, about NumPy 2.
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SHAPE = model.Shape(layers=2, units=24, context=12, what=16, velocity=12)


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    """A network of larger weights than a fresh one has, so that its answers differ."""
    rng = np.random.default_rng(5)
    fresh = likelihood.parameters(model.build(SHAPE, 1))
    return {name: value + rng.normal(0, 0.15, value.shape).astype(np.float32) for name, value in fresh.items()}


def test_float32_is_the_training_graph_over_a_long_piece(values: dict[str, np.ndarray]) -> None:
    piece = corpora.piece(1, 2600)
    assert len(piece.columns["what"]) >= 5000
    assert export.largest_difference(values, SHAPE, piece) <= 1e-4


@pytest.mark.parametrize("form", graphs.FORMS)
def test_every_form_plays_and_loses_little(form: str, values: dict[str, np.ndarray], tmp_path: Path) -> None:
    graphs.write(values, SHAPE, form, tmp_path)
    stepper = Stepper(tmp_path)
    assert stepper.start().shape == (1, SHAPE.state)
    piece = corpora.piece(2, 200)
    exact = likelihood.total(likelihood.network(values, SHAPE, [piece])).nats_per_note
    assert likelihood.total([export.nats(stepper, piece)]).nats_per_note == pytest.approx(exact, abs=0.05)


def test_gates_in_another_order_are_noticed(values: dict[str, np.ndarray]) -> None:
    wrong = {name: np.roll(v, SHAPE.units, axis=-1) if "lstm_0" in name else v for name, v in values.items()}
    here, there = (export.trained(v, SHAPE, corpora.piece(3, 40))["dt"] for v in (values, wrong))
    assert np.abs(here - there).max() > 1e-3


def test_the_fastest_form_that_loses_little_is_chosen() -> None:
    forms = [
        export.Measured("float32", 0.3, 0.0, 18.0),
        export.Measured("float16", 0.2, 0.001, 9.0),
        export.Measured("int8", 0.1, 0.06, 5.0),
    ]
    assert export.choose(forms).form == "float16"


def test_a_run_becomes_a_folder_that_plays(tmp_path: Path) -> None:
    data = corpora.prepared(tmp_path)
    settings = recipe.Recipe("tiny", data, shape=SHAPE, batch=4, steps=16, updates=4, warmup=1, validate_every=2)
    fit.Run(settings, tmp_path / "run", fit.music(settings)).fit()
    out = tmp_path / "weights"
    export.export(tmp_path / "run", out)

    card, _ = weights.load(str(out))
    assert card.fingerprint == codec.FINGERPRINT
    assert card.form in graphs.FORMS
    assert sum(card.styles.values()) > 0
    assert "CC BY 4.0" in (out / "LICENSE").read_text() and "tunes" in (out / "ATTRIBUTION.md").read_text()
    assert {"curve:", "corpora:", "baselines:", "retrain:", "commit:", "seed:"} <= set(card.text.split())
    with np.load(out / "params.npz", allow_pickle=False) as file:
        assert {file[name].dtype for name in file.files} == {np.dtype(np.float16)}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    figures = tmp_path / "figures.json"
    done = CliRunner().invoke(cli.app, ["evaluate", str(out), str(data), "--json", str(figures)])
    assert done.exit_code == 0 and "markov_mixed" in done.stdout
    result = json.loads(figures.read_text())
    assert result["nats_per_note"] == pytest.approx(card.nats_per_note, abs=0.01)
    assert set(result["baselines"]) == {"uniform", "unigram", "markov", "markov_mixed", "markov_orders"}
    assert {"notes", "nats_per_note_10ms", "nats_per_event_388", "by_attribute", "by_corpus"} <= set(result)

    done = CliRunner().invoke(cli.app, ["evaluate", str(out), str(tmp_path / "tunes"), "--json", str(figures)])
    assert "broken.mid: left out" in done.stderr
    assert json.loads(figures.read_text())["pieces"] == 10
