"""Changes one value in the text of a file of settings, and leaves all else as it was written."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from typing import Any

import yaml

INDENT = 2


def changed(text: str, keys: Sequence[str], value: str) -> str:
    """The text of good settings with `value`, a plain text, under those keys, one within the other.

    Raises ValueError where it is written in a way that does not allow it.
    """
    new = _changed(text, yaml.compose(text, yaml.SafeLoader), list(keys), value)
    try:
        good = yaml.safe_load(new) == _with(yaml.safe_load(text) or {}, keys, value)
    except yaml.YAMLError:
        good = False
    if not good:
        raise ValueError("it is written in a way that cannot be changed here")
    return new


def _with(values: Any, keys: Sequence[str], value: str) -> Any:
    """Nested values with one of them changed."""
    values = copy.deepcopy(values)
    room = values
    for key in keys[:-1]:
        room[key] = room = room.get(key) or {}
    room[keys[-1]] = value
    return values


def _changed(text: str, node: yaml.Node | None, keys: list[str], value: str) -> str:
    if not isinstance(node, yaml.MappingNode) or not node.value:
        return _after(text, len(text), 0, keys, value)
    entry = next((pair for pair in reversed(node.value) if pair[0].value == keys[0]), None)
    if entry is None:
        return _added(text, node, keys, value)
    key, old = entry
    if len(keys) == 1:
        gap = "" if old.start_mark.index < old.end_mark.index else " "
        return _cut(text, old, gap + value)
    if isinstance(old, yaml.MappingNode) and old.value:
        return _changed(text, old, keys[1:], value)
    return _after(_cut(text, old, ""), old.start_mark.index, key.start_mark.column + INDENT, keys[1:], value)


def _added(text: str, room: yaml.MappingNode, keys: list[str], value: str) -> str:
    """With an entry more in a mapping that has some."""
    first, last = room.value[0][0], room.value[-1][1]
    if room.flow_style:
        place = first.start_mark.index
        return text[:place] + f"{_flow(keys, value)}, " + text[place:]
    column = first.start_mark.column
    return _after(text, len(text) if column == 0 else _end(last), column, keys, value)


def _end(node: yaml.Node) -> int:
    """Where the last thing is written that belongs to it."""
    while isinstance(node, yaml.MappingNode) and not node.flow_style:
        node = node.value[-1][1]
    return int(node.end_mark.index)


def _after(text: str, place: int, column: int, keys: list[str], value: str) -> str:
    """With lines of their own after that which `place` is in."""
    newline = "\r\n" if "\r\n" in text else "\n"
    found = text.find("\n", place)
    before, after = (text, "") if found < 0 else (text[: found + 1], text[found + 1 :])
    if before and not before.endswith("\n"):
        before += newline
    lines = [" " * (column + INDENT * depth) + f"{_key(key)}:" for depth, key in enumerate(keys)]
    return before + newline.join(lines) + f" {value}{newline}" + after


def _cut(text: str, node: yaml.Node, instead: str) -> str:
    return text[: node.start_mark.index] + instead + text[node.end_mark.index :]


def _flow(keys: list[str], value: str) -> str:
    """In one line, for a mapping in braces."""
    return f"{_key(keys[0])}: " + (value if len(keys) == 1 else "{" + _flow(keys[1:], value) + "}")


def _key(key: str) -> str:
    """As it has to be written."""
    return str(yaml.safe_dump([key], default_flow_style=True, allow_unicode=True, width=sys.maxsize)).strip()[1:-1]
