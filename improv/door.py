"""Files that others made, at the door: so much is read of them and no more, and of YAML only plain values."""

from __future__ import annotations

import os
import re
import reprlib
import stat
from pathlib import Path
from typing import Any

import yaml

from improv.errors import BadInput

MOST_YAML = 64 * 1024  # bytes; of what ships the longest has 4 KB
LARGEST = 1 << 63  # of a whole number
LONGEST_SHOWN = 60  # characters of a key
# What a terminal would obey, or what turns the order of letters round.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
PLAIN = "anchors (&), aliases (*) and tags (!) are not read"


def read(path: Path, most: int) -> bytes:
    """All of an ordinary file of at most so many bytes; nothing else is opened for long.

    Raises `BadInput`, and OSError where it cannot be read.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BadInput(f"{path}: it is no ordinary file; give one")
        data = file.read(most + 1)
    if len(data) > most:
        raise BadInput(f"{path}: it is larger than {_size(most)}, which is the most that is read of such a file")
    return data


def _without_waiting(path: str, flags: int) -> int:
    """A pipe would be opened once somebody writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def is_shown(text: str) -> bool:
    """Whether it may be shown as it is, in a line."""
    return CONTROLS.search(text) is None


def shown(key: str) -> str:
    """A key that may be anything, as far as it can be shown in one line."""
    return key if len(key) <= LONGEST_SHOWN and is_shown(key) else reprlib.repr(key)


def _size(count: int) -> str:
    return f"{count >> 20} MB" if count >= 1 << 20 else f"{count >> 10} KB"


def read_yaml(path: Path) -> tuple[str, Any]:
    """A YAML file as it is written, and what it says: texts, numbers, dates, lists and mappings.

    Raises `BadInput`, and OSError where it cannot be read.
    """
    data = read(path, MOST_YAML)
    try:
        text = data.decode("utf-8")
        return text, yaml.load(text, Loader=_Plain)
    except yaml.MarkedYAMLError as error:
        mark, why = error.problem_mark, f": {error.problem}" if isinstance(error, _Refused) else ""
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BadInput(f"{path}: malformed YAML{where}{why}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        # Characters that are none, an impossible date or number, brackets without end.
        raise BadInput(f"{path}: malformed YAML") from None


class _Refused(yaml.MarkedYAMLError):
    """YAML allows it; here it is not read, and `problem` says so to the user."""


class _Plain(yaml.SafeLoader):
    """What is written is all there is, and all of it counts: aliases of aliases would grow without bound, and of two
    values of one key the first would be lost.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None or getattr(event, "tag", None) is not None:  # an alias names an anchor
            raise _Refused(problem=PLAIN, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        written: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                before = written.setdefault((key.tag, key.value), key.start_mark.index)
                if before != key.start_mark.index:
                    twice = f"`{shown(key.value)}` is there a second time; leave one of the two out"
                    raise _Refused(problem=twice, problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def _whole_number(loader: _Plain, node: yaml.ScalarNode) -> int:
    value = loader.construct_yaml_int(node)
    if abs(value) >= LARGEST:
        raise yaml.MarkedYAMLError(problem="a number without end", problem_mark=node.start_mark)
    return value


_Plain.add_constructor("tag:yaml.org,2002:int", _whole_number)
