"""Reads a FlatBuffer by the numbers of its fields, and nothing that lies outside it."""

from __future__ import annotations

import struct
from typing import Any

MOST = 1024  # entries of a table's list; numbers may be more


class Table:
    """One table. Whatever is not as it must be raises ValueError."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - self._unpack("<i", at)
        self._size = self._unpack("<H", self._fields)

    def number(self, field: int, form: str, default: int = 0) -> int:
        """Of the `struct` format `form`."""
        at = self._place(field)
        value: int = default if at is None else self._unpack(form, at)
        return value

    def numbers(self, field: int, form: str) -> tuple[int, ...]:
        start, count = self._vector(field)
        self._check(start, count * struct.calcsize(form))
        return struct.unpack_from(f"<{count}{form}", self._data, start)

    def length(self, field: int) -> int | None:
        """Of a list of bytes or a text; None where there is none."""
        if self._place(field) is None:
            return None
        start, count = self._vector(field)
        self._check(start, count)
        return count

    def table(self, field: int) -> Table | None:
        at = self._place(field)
        return None if at is None else Table(self._data, at + self._unpack("<I", at))

    def tables(self, field: int) -> list[Table]:
        start, count = self._vector(field)
        if count > MOST:
            raise ValueError(f"a list of {count}")
        places = range(start, start + 4 * count, 4)
        return [Table(self._data, at + self._unpack("<I", at)) for at in places]

    def has(self, *fields: int) -> bool:
        """Whether any of these is written down."""
        return any(self._place(field) is not None for field in fields)

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        offset = self._unpack("<H", self._fields + entry) if entry + 2 <= self._size else 0
        return self._at + offset if offset else None

    def _vector(self, field: int) -> tuple[int, int]:
        """Where its entries begin, and how many there are."""
        at = self._place(field)
        if at is None:
            return 0, 0
        start = at + self._unpack("<I", at)
        return start + 4, self._unpack("<I", start)

    def _unpack(self, form: str, at: int) -> Any:
        self._check(at, struct.calcsize(form))
        return struct.unpack_from(form, self._data, at)[0]

    def _check(self, at: int, length: int) -> None:
        if not 0 <= at <= len(self._data) - length:
            raise ValueError("it points outside itself")


def root(data: bytes) -> Table:
    """The table that a file is. Raises ValueError."""
    if len(data) < 4:
        raise ValueError("it is too short")
    return Table(data, struct.unpack_from("<I", data)[0])
