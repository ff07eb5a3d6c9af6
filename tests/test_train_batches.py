"""Windows for training: the masks of play, every token once, and streams that can be taken up again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from improv.net import codec
from tests import corpora
from train.corpora.pieces import packed_held
from train.network import augment, batches
from train.network.augment import Augment

PIECES = [corpora.piece(seed, 60 + 14 * seed) for seed in range(6)]


def naive_held(what: np.ndarray) -> np.ndarray:
    """What sounds before each token, one token after the other: [N,128]."""
    held, rows = np.zeros(codec.PITCHES, bool), []
    for one in what.tolist():
        rows.append(held.copy())
        held[one % codec.PITCHES] = one < codec.OFF
    return np.array(rows)


def test_what_sounds_is_what_began_and_did_not_end() -> None:
    what = PIECES[0].columns["what"]
    after = np.unpackbits(packed_held(what), axis=1).astype(bool)
    np.testing.assert_array_equal(after[:-1], naive_held(what)[1:])


@pytest.mark.parametrize("transpose", [0, 5, -6])
def test_masks_are_those_of_play(transpose: int) -> None:
    piece = PIECES[1]
    length = len(piece.columns["what"])
    whole = batches.window(piece, 0, length, Augment(transpose=transpose))
    held = naive_held(piece.columns["what"].astype(int) + transpose)
    last = codec.START
    for t in range(length):
        mask = codec.allowed(held[t], last, int(piece.columns["dt"][t]))
        np.testing.assert_array_equal(whole.allowed[0, t], mask)
        last = int(whole.targets["what"][0, t])
        assert mask[last]
    np.testing.assert_array_equal(whole.context[0, :, : codec.PITCHES], held)


def test_the_first_dt_is_not_counted_and_only_note_ons_have_a_velocity() -> None:
    piece = PIECES[2]
    whole = batches.window(piece, 0, len(piece.columns["what"]))
    assert whole.weights["dt"].sum() == len(piece.columns["what"]) - 1
    assert whole.weights["velocity"].sum() == piece.notes
    assert not whole.weights["velocity"][whole.targets["what"] >= codec.OFF].any()


def test_windows_in_a_row_make_the_whole_piece() -> None:
    piece = PIECES[3]
    length = len(piece.columns["what"])
    whole = batches.window(piece, 0, length)
    parts = [batches.window(piece, begin, 32) for begin in range(0, length, 32)]
    tokens = np.concatenate([part.tokens for part in parts], axis=1)[:, :length]
    np.testing.assert_array_equal(tokens, whole.tokens)
    assert [part.keep.item() for part in parts] == [0.0] + [1.0] * (len(parts) - 1)


def test_in_order_covers_every_token_once() -> None:
    counted = np.zeros(len(PIECES))
    heard: dict[int, list[int]] = {i: [] for i in range(len(PIECES))}
    for batch, rows in batches.in_order(PIECES, 4, 32):
        for row, i in enumerate(rows):
            weights = batch.weights["what"][row]
            if i < 0:
                assert not weights.any()
                continue
            counted[i] += weights.sum()
            heard[i] += batch.targets["what"][row][weights > 0].tolist()
    assert counted.tolist() == [len(piece.columns["what"]) for piece in PIECES]
    assert all(heard[i] == piece.columns["what"].tolist() for i, piece in enumerate(PIECES))


def test_streams_go_on_where_they_were_left() -> None:
    first = batches.Streams(PIECES, 4, 16, seed=3, amounts=augment.Amounts())
    for _ in range(7):
        first.next()
    state = json.loads(json.dumps(first.state()))
    second = batches.Streams(PIECES, 4, 16, seed=99, amounts=augment.Amounts())
    second.restore(state)
    for _ in range(20):
        ours, theirs = first.next(), second.next()
        np.testing.assert_array_equal(ours.tokens, theirs.tokens)
        np.testing.assert_array_equal(ours.keep, theirs.keep)
        np.testing.assert_array_equal(ours.allowed, theirs.allowed)


def test_a_minor_corpus_keeps_to_its_share() -> None:
    minor = [corpora.piece(seed, 80, "js_fakes") for seed in range(9)]
    major = [corpora.piece(seed, 80, "pop909")._replace(style=5) for seed in range(3)]
    minor = [piece._replace(style=3) for piece in minor]
    streams = batches.Streams(major + minor, 8, 160, seed=1, amounts=augment.Amounts(transpose=0))  # a window a piece
    styles = np.concatenate([streams.next().tokens[:, 0, 4] for _ in range(300)])
    named = styles[styles > 0]  # the style is hidden from some of the passes, whichever it is
    assert np.mean(named == 3) == pytest.approx(batches.MINOR_SHARE["js_fakes"], abs=0.01)


def test_a_corpus_may_be_dwelt_on() -> None:
    often = [corpora.piece(seed, 80, "maestro")._replace(style=1) for seed in range(4)]
    rarely = [corpora.piece(seed, 80, "pop909")._replace(style=5) for seed in range(4)]
    plain = augment.Amounts(no_style=0.0)
    streams = batches.Streams(often + rarely, 8, 160, seed=1, amounts=plain, emphasis={"maestro": 3.0})
    styles = np.concatenate([streams.next().tokens[:, 0, 4] for _ in range(200)])
    assert np.mean(styles == 1) == pytest.approx(0.75, abs=0.03)
