"""Which value each setting has and who said so, for a musician who asks why."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import yaml

from improv import config
from improv.config import Settings, Source

COMMENTS = 28  # the column where they begin


class Said(NamedTuple):
    value: Any
    source: str | None  # what set it last; None: it is the default


def origins(sources: Sequence[Source]) -> dict[str, Said]:
    """Each setting by its whole name, as the sources leave it, one over the other. Raises `BadSetting`."""
    settings = config.settled(sources)
    return {key: Said(attrgetter(key)(settings), _last(sources, key)) for key in config.keys(Settings())}


def _last(sources: Sequence[Source], key: str) -> str | None:
    return next((source.label for source in reversed(sources) if _sets(source.values, key)), None)


def _sets(values: Mapping[Any, Any], key: str) -> bool:
    room, _, rest = key.partition(".")
    return room in values and (not rest or _sets(values[room], rest))


def lines(said: Mapping[str, Said]) -> Iterator[str]:
    """The settings as YAML, which --config reads again, with a comment behind each that is not a default."""
    last_room = ""
    for key, (value, source) in said.items():
        room, _, name = key.rpartition(".")
        if room != last_room:
            yield from ("", f"{room}:")
            last_room = room
        line = f"{'  ' if room else ''}{name}: {_written(value)}"
        yield line if source is None else f"{line:{COMMENTS - 1}} # {source}"


def _written(value: Any) -> str:
    """A value in one line of YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=sys.maxsize)
    return text.partition("\n")[0]
