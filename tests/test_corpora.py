"""The shipped network on real music; skipped where the corpora are not at hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from improv import shipped
from improv.engine import Engine
from improv.midi import files
from improv.music.events import Heard, Retime
from improv.music.musicianship import Musicianship
from improv.net import codec
from improv.render import perform
from tests.nets import lively

CORPORA = Path(__file__).parents[2] / "shared" / "data"
pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside this checkout"),
]


@pytest.fixture(scope="module")
def files_of_music() -> list[tuple[str, bytes]]:
    from tests import corpora

    return [*corpora.members(CORPORA / "giantmidi_sample.tar.xz"), *corpora.members(CORPORA / "mutopia_piano.tar.xz")]


@pytest.fixture(scope="module")
def pieces(files_of_music: list[tuple[str, bytes]]) -> Iterator[list]:
    from train.corpora import prepare
    from train.judge import evaluate

    found = [prepare.prepare_file(name, data) for name, data in files_of_music]
    assert not any(piece.problem for piece in found)
    yield [evaluate._piece("music", piece) for piece in found]


def test_the_shipped_graphs_agree_with_the_training_graph(pieces: list) -> None:
    from improv.net.stepper import Stepper
    from train.judge import evaluate
    from train.network import likelihood
    from train.ship import export

    folder = shipped.folder("weights") / "open"
    weights = evaluate.read_weights(folder)
    piece = export.long_piece(pieces, 5000)
    assert len(piece.columns["dt"]) >= 5000
    assert export.largest_difference(weights.values, weights.shape, piece) <= 1e-4
    exact = likelihood.total(likelihood.network(weights.values, weights.shape, [piece])).nats_per_note
    played = likelihood.total([export.nats(Stepper(folder), piece)]).nats_per_note
    assert abs(played - exact) <= 0.05


def test_a_piece_is_heard_live_as_it_was_prepared(files_of_music: list[tuple[str, bytes]]) -> None:
    """The tokens that the engine feeds while it listens are those of the training data."""
    from train.corpora import prepare

    for _, data in files_of_music[::9]:
        score = files.read(data)
        prepared, _ = prepare.tokens_of(score)
        net = lively()
        heard: list[Heard] = [Retime(line.origin_ns, line) for line in score.timelines]
        heard = sorted([*heard, *score.events], key=lambda event: event.time_ns)
        engine = Engine(net, Musicianship(listens_for_the_end=False, forget_s=3600))
        perform(engine, heard)
        while (due := engine.deadline()) is not None and due <= score.end_ns + 10**9:
            engine.step(due)
        dts = [codec.dt_bin(b.tick - a.tick) for a, b in itertools.pairwise(prepared)]
        fed = net.read_tokens[1:]  # after the start
        assert [row[1:3] for row in fed] == [(token.what, token.velocity) for token in prepared]
        assert [row[0] for row in fed[1:]] == dts
