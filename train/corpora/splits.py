"""Train, validation or test where no manifest says: by composition, never by file, and the same on every machine."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

MOST_TAKES = 6  # more files than this that differ by a number only are numbered pieces, not takes of one

_SPACE = r"[\s_.-]*"
# What marks another take of the same piece at the end of a name, with or without its number.
_WORDS = "take|version|vers|ver|v|copy|copie|kopie|alt|alternate|edit|edited|final|performance|perf|live"
_MARK = re.compile(
    rf"(?:{_SPACE}[\[(]\s*(?:(?:{_WORDS})?\s*\d*)\s*[\])]"  # (2)  [take 3]  (live)
    rf"|[\s_.-]+(?:{_WORDS}){_SPACE}\d*"  # _take2  - copy  -v1  _final
    r"|\.\d+)$"  # Title.2
)
_NUMBER = re.compile(r"[\s_-]+\d{1,2}$")  # _01, -2


def split(key: str) -> str:
    """80 / 10 / 10 by a hash."""
    bucket = int(hashlib.sha256(key.encode()).hexdigest(), 16) % 10
    return {8: "validation", 9: "test"}.get(bucket, "train")


def splits(names: Sequence[str]) -> list[str]:
    """One a file of a corpus."""
    return [split(key) for key in compositions(names)]


def compositions(names: Sequence[str]) -> list[str]:
    """One a file of a corpus: alike for the takes of a piece."""
    found = [composition(name) for name in names]
    takes = Counter(found)
    return [
        key if takes[key] <= MOST_TAKES else composition(name, numbered=True)
        for key, name in zip(found, names, strict=True)
    ]


def composition(name: str, numbered: bool = False) -> str:
    """What the takes of a piece have in common: the file's name in lower case, without what marks a take.

    A number of one or two digits at the end counts as a take's unless the pieces are `numbered`. A name that
    is only a number is taken with its folder.
    """
    path = PurePosixPath(unicodedata.normalize("NFKC", name).casefold())  # macOS spells accents otherwise
    key = path.stem
    while (shorter := _MARK.sub("", key)) != key and any(map(str.isalnum, shorter)):
        key = shorter
    if not numbered and _has_letters(shorter := _NUMBER.sub("", key)):
        key = shorter
    key = re.sub(r"[\s_.-]+", " ", key).strip()
    return key if _has_letters(key) else f"{path.parent.name}/{key}"


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))
