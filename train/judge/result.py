"""All that an evaluation finds out, in the order in which it is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.progress import track

from improv.net.stream import Net
from train.judge import copying, evaluate, excerpts, hears, plays, remembers
from train.judge.evaluate import Held, Weights
from train.judge.notes import notes
from train.judge.plays import Performance

SEED = 1


def collect(
    weights: Weights, held: Held, baselines: bool, net: Net | None, places: int
) -> tuple[dict[str, Any], list[Performance]]:
    """Figures ready for JSON, and what was played at so many places; without a `net` nothing is."""
    scored = evaluate.by_token(weights.values, weights.shape, held.test, "network")
    result = evaluate.summary([piece.total for piece in scored])
    result.update(hears.everything(weights, scored, SEED))
    result["memory"] = remembers.second_halves(scored, SEED)
    result["baselines"] = evaluate.compare(held) if baselines and held.train and held.validation else {}
    performances = play(net, held, places) if net is not None and places else []
    if performances:
        heard = copying.join([notes(p) for p in track(held.train, "training notes")]) if held.train else None
        result["plays"] = plays.figures(performances, heard)
    result["left_out"] = left_out(result, held, bool(net is not None and places))
    return result, performances


def play(net: Net, held: Held, places: int) -> list[Performance]:
    return plays.perform_all(net, excerpts.draw(held.test, places, SEED), held.train, SEED)


def left_out(result: dict[str, Any], held: Held, asked_to_play: bool) -> Sequence[str]:
    """A line for each thing that the music did not allow."""
    lines = []
    if not held.train:
        lines.append("No training notes there: baselines, copy rate and the corpus' Markov chain are left out.")
    if asked_to_play and "plays" not in result:
        lines.append("No piece goes on for 16 s with notes enough: what it plays is left out.")
    if not result["long_session"]:
        lines.append("No corpus has more than 30 minutes: the long session is left out.")
    if not result["style"]:
        lines.append("No piece of a style that the card lists: what the style is worth is left out.")
    if not result["metre"]:
        lines.append("No piece keeps to a beat: what the beat is worth is left out.")
    return lines
