"""Sets of weights: what ships, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from improv import shipped
from improv.cli import app
from improv.music.timeline import Timeline
from improv.net import codec, weights
from improv.net.sampler import Sampling, draw
from improv.net.stream import Limits, Reader


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped.folder("weights") / "open", tmp_path / "mine"))


def test_the_shipped_set_loads_by_name_and_is_small() -> None:
    card, _ = weights.load("open")
    assert card.name == "open" and card.fingerprint == codec.FINGERPRINT
    assert sum(file.stat().st_size for file in weights.find("open").iterdir()) <= 16e6


def test_a_set_loads_by_its_path(copy: Path) -> None:
    assert weights.load(str(copy))[0].name == "mine"


def damage_card(folder: Path) -> None:
    (folder / "card.yaml").write_text("notice: [")


def damage_graph(folder: Path) -> None:
    (folder / "trunk.tflite").write_bytes(b"nothing")


def truncate_graph(folder: Path) -> None:
    data = (folder / "what.tflite").read_bytes()
    (folder / "what.tflite").write_bytes(data[: len(data) // 2])


def remove_graph(folder: Path) -> None:
    (folder / "velocity.tflite").unlink()


def swap_graphs(folder: Path) -> None:
    shutil.copy(folder / "what.tflite", folder / "trunk.tflite")


def swap_heads(folder: Path) -> None:
    shutil.copy(folder / "velocity.tflite", folder / "what.tflite")


def infinite_card(folder: Path) -> None:
    (folder / "card.yaml").write_text((folder / "card.yaml").read_text() + "\nstyles: {a: .inf}\n")


def change_fingerprint(folder: Path) -> None:
    card = folder / "card.yaml"
    card.write_text(card.read_text().replace(codec.FINGERPRINT, "0123456789abcdef"))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (damage_card, "card.yaml is damaged"),
        (damage_graph, "damaged"),
        (truncate_graph, "damaged"),
        (remove_graph, "velocity.tflite is missing"),
        (swap_graphs, "damaged"),
        (swap_heads, "damaged"),
        (infinite_card, "damaged"),
        (change_fingerprint, "another alphabet"),
        (shutil.rmtree, "no such set"),
    ],
)
def test_a_bad_set_is_one_clear_sentence(copy: Path, harm: object, says: str) -> None:
    harm(copy)  # type: ignore[operator]
    with pytest.raises(weights.BadWeights, match=says):
        weights.load(str(copy))


def test_the_cards_are_shown() -> None:
    result = CliRunner().invoke(app, ["weights"])
    assert result.exit_code == 0 and "licence" in result.output and "POP909" in result.output


def test_the_reader_draws_only_what_is_possible() -> None:
    _, net = weights.load("open")
    reader = Reader(net, Sampling(1.5, 1.0))
    line = Timeline()
    stream = reader.start(0, line)
    for _ in range(300):
        token = reader.draw(stream, Limits(), line)
        assert codec.allowed(stream.held, stream.last.what, token.tick - stream.last.tick)[token.what]
        stream = reader.feed(stream, token, line)


def test_draw_keeps_to_its_choices_and_to_the_nucleus() -> None:
    logp = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    rng = np.random.default_rng(0)
    everything = np.arange(4)
    counts = np.bincount([draw(logp, everything, Sampling(), rng.random()) for _ in range(4000)], minlength=4) / 4000
    assert np.allclose(counts, np.exp(logp), atol=0.03)
    assert {draw(logp, everything, Sampling(1.0, 0.8), rng.random()) for _ in range(500)} == {0, 1}
    assert {draw(logp, np.array([2, 3]), Sampling(), rng.random()) for _ in range(500)} == {2, 3}
    assert {draw(logp, everything, Sampling(0.05), rng.random()) for _ in range(500)} == {0}
    assert draw(logp, everything, Sampling(), np.nextafter(1.0, 0.0)) == 3
