"""The installed sets of weights in a short table, for a musician who chooses one."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from improv.net.weights import Card

HEAD = ("name", "licence", "nats/note", "MB", "where")
WIDTH = 110


def lines(cards: Sequence[Card], default: str) -> Iterator[str]:
    """A line for each set, and below it the styles it heard and what has to be known of it. The default is marked."""
    rows = [HEAD, *(_row(card, default) for card in cards)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for i, (name, licence, nats, size, where) in enumerate(rows):
        numbers = f"{nats:>{widths[2]}}  {size:>{widths[3]}}"
        yield f"{name:{widths[0]}}  {licence:{widths[1]}}  {numbers}  {where}"
        if i:
            yield from _below(cards[i - 1])
    yield "nats/note: how hard its own test music is for each, less is better; across sets it does not compare"


def _row(card: Card, default: str) -> tuple[str, ...]:
    name = f"{card.name} (default)" if card.folder.name == default else card.name
    size = sum(file.stat().st_size for file in card.folder.iterdir() if file.is_file())
    return name, " ".join(card.licence.split()), f"{card.nats_per_note:.2f}", f"{size / 1e6:.1f}", str(card.folder)


def _below(card: Card) -> Iterator[str]:
    styles = f"styles: {card.repertoire}" if card.repertoire else ""
    for text in (styles, _first_sentence(card.notice)):
        yield from textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text, maxsplit=1)[0]
