"""Players: what the memory held when a session was over, in a file, for others to begin with."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path

from improv import door, whole
from improv.errors import BadInput
from improv.net import codec, memory

OWN = Path("players")
KIND = ".json"
FORMAT = 1
MOST_BYTES = 64 * 1024  # a full memory takes 27 KB


def place(name: str) -> Path:
    """Of a player, by its name in ./players or by its path. Raises `BadInput` for what is neither."""
    if not Path(name).stem.strip("."):
        raise BadInput(f"`player` (--player) {name!r}: give a name, or the path of a file")
    return Path(name) if Path(name).name != name or name.endswith(KIND) else OWN / f"{name}{KIND}"


def found() -> dict[str, Path]:
    """The players in ./players by their names."""
    return {path.stem: path for path in sorted(OWN.glob(f"*{KIND}")) if path.stem.isprintable()}


def read(name: str) -> bytes:
    """What a player's memory holds. Raises `BadInput`."""
    path = place(name)
    try:
        return _of(path, door.read(path, MOST_BYTES))
    except FileNotFoundError:
        known = ", ".join(found()) or "none"
        raise BadInput(f"`player` (--player) {name}: there is no {path} (found in ./{OWN}: {known})") from None
    except OSError as error:
        raise BadInput(f"`player` (--player) {name}: {path} cannot be read ({error.strerror})") from None


def _of(path: Path, data: bytes) -> bytes:
    try:
        values = json.loads(data)
        version, fingerprint, text = (values[key] for key in ("improv-player", "fingerprint", "memory"))
        remembered = memory.read(text)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadInput(f"{path}: it is no player of improv, or damaged; name another") from None
    if (version, fingerprint) != (FORMAT, codec.FINGERPRINT):
        raise BadInput(f"{path}: another version of improv wrote it; use that one, or begin a player of another name")
    return remembered


def begin(name: str) -> bytes:
    """What a session of that player begins with: nothing if it is new. Its file can be written. Raises `BadInput`."""
    path = place(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"`player` (--player) {name}: the folder {path.parent} cannot be made ({error.strerror})"
        ) from None
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise BadInput(f"`player` (--player) {name}: the folder {path.parent} cannot be written to")
    return read(name) if os.path.lexists(path) else b""


def keep(name: str, remembered: bytes) -> Path:
    """Write what a player's memory holds; gives the file, which is there whole, as it was or as it is now.

    Raises OSError.
    """
    path = place(name)
    values = {"improv-player": FORMAT, "fingerprint": codec.FINGERPRINT, "memory": memory.spelled(remembered)}
    whole.write(path, f"{json.dumps(values)}\n".encode("ascii"))
    return path


def notes(remembered: bytes) -> int:
    """How many notes it remembers."""
    return sum(what < codec.OFF for what, *_ in memory.ROW.iter_unpack(remembered))


def lines() -> Iterator[str]:
    """A line for each player in ./players: how much it remembers and since when, or why it is refused."""
    known = found()
    width = max(map(len, known), default=0)
    for name, path in known.items():
        try:
            count = f"{notes(read(name)):,} notes"
            date = datetime.datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "minutes")
            yield f"{name:{width}}  {count:>11}, {date}"
        except BadInput as refusal:
            yield f"{name:{width}}  refused: {refusal}"
