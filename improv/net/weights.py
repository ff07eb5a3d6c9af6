"""Sets of weights: folders with a card that says what is inside, and the checks at the door."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from improv import door, shipped
from improv.errors import BadInput
from improv.net import codec
from improv.net.graph import MOST_BYTES
from improv.net.stepper import GRAPHS, Damaged, Mismatch, Stepper

# What a card of odd values raises; OverflowError is an infinite count.
_ODD = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class BadWeights(BadInput):
    """A set of weights that is missing, damaged or of another kind; the message names it."""


@dataclass(frozen=True)
class Card:
    """`card.yaml`: what a musician and the program need to know of a set of weights."""

    name: str
    folder: Path
    notice: str
    licence: str
    fingerprint: str
    form: str  # of the shipped graphs: float32, float16 or int8
    nats_per_note: float
    styles: Mapping[str, int]  # notes heard of each
    sums: Mapping[str, str]  # SHA-256 of each graph; none in a card of before
    text: str  # the whole card, as written

    @classmethod
    def read(cls, folder: Path) -> Card:
        try:
            text, values = door.read_yaml(folder / "card.yaml")
        except FileNotFoundError:
            raise BadWeights(f"weights {folder}: there is no card.yaml in it") from None
        except OSError as error:
            raise BadWeights(f"weights {folder}: its card.yaml cannot be read ({error.strerror})") from None
        except BadInput as error:
            raise BadWeights(f"weights {folder.name}: {error}") from None
        try:
            return cls(
                name=_text(folder.name),
                folder=folder,
                notice=_prose(values["notice"]).strip(),
                licence=_prose(values["licence"]),
                fingerprint=_text(values["fingerprint"]),
                form=_text(values["form"]),
                nats_per_note=float(values["held_out"]["nats_per_note"]),
                styles={_text(style): int(notes) for style, notes in values["styles"].items()},
                sums={_text(graph): _text(total) for graph, total in values.get("sums", {}).items()},
                text=text,
            )
        except _ODD as error:
            raise BadWeights(f"weights {folder}: its card.yaml is damaged") from error

    @property
    def terms(self) -> str | None:
        """The licence in one line, where it forbids commercial use."""
        binds = re.search(r"\bNC\b|non-?commercial", self.licence, re.IGNORECASE)
        return f"weights {self.name}: {' '.join(self.licence.split())}, not for commercial use" if binds else None

    @property
    def repertoire(self) -> str:
        """The styles it can be told, for people: `pop (1.3 M notes), ragtime (27 k)`."""
        parts = [f"{style} ({_rounded(notes)})" for style, notes in self.known.items()]
        return ", ".join(parts).replace(")", " notes)", 1)

    def check_style(self, style: str | None) -> None:
        """Raises `BadInput` for a style that this set did not hear."""
        if style is not None and style not in self.known:
            known = f"know {self.repertoire}" if self.known else "know no style by name; leave it out"
            raise BadInput(f"`steering.style` (--style) is {style}: weights {self.name} {known}")

    @property
    def known(self) -> dict[str, int]:
        """The styles it can be told, and how many notes it heard of each."""
        return {style: notes for style, notes in self.styles.items() if notes > 0 and style != codec.STYLES[0]}


def _text(value: object) -> str:
    """What may be shown in a line."""
    if not isinstance(value, str) or not door.is_shown(value):
        raise TypeError
    return value


def _prose(value: object) -> str:
    """What may be shown in some lines."""
    if not isinstance(value, str):
        raise TypeError
    return "\n".join(map(_text, value.splitlines()))


def _rounded(count: int) -> str:
    if count < 1000:
        return str(count)
    return f"{count / 1e6:.1f} M" if count >= 999_500 else f"{count / 1e3:.0f} k"


def folders() -> list[Path]:
    """Every set of weights found: in ./weights, then those that came with the program."""
    places = dict.fromkeys((os.path.realpath("weights"), os.path.realpath(shipped.folder("weights"))))
    found: dict[str, Path] = {}
    for place in places:
        for card in sorted(Path(place).glob("*/card.yaml")):
            found.setdefault(card.parent.name, card.parent)
    return list(found.values())


def find(name: str) -> Path:
    """A weights folder by its name or its path."""
    known = {folder.name: folder for folder in folders()}
    if name in known:
        return known[name]
    path = Path(name)
    with contextlib.suppress(OSError):  # a name too long for a file
        if path.is_dir():
            return path
    names = ", ".join(sorted(known)) or "none"
    raise BadWeights(f"weights {name}: no such set and no such folder (installed: {names})")


def read(name: str) -> Card:
    """The card of a set that this version plays. Raises `BadWeights`."""
    folder = find(name)
    card = Card.read(folder)
    if card.fingerprint != codec.FINGERPRINT:
        raise BadWeights(
            f"weights {folder}: made for another alphabet (fingerprint {card.fingerprint}, "
            f"this version of improv reads {codec.FINGERPRINT}); export or train them again"
        )
    strange = sorted(set(card.styles) - set(codec.STYLES))
    if strange:
        raise BadWeights(
            f"weights {folder}: its card.yaml names styles that this version of improv does not know "
            f"({', '.join(strange)}); export them again"
        )
    return card


def network(card: Card) -> Stepper:
    """The network of a set. Raises `BadWeights`."""
    folder = card.folder
    try:
        for graph in GRAPHS:
            if not (folder / f"{graph}.tflite").is_file():
                raise BadWeights(f"weights {folder}: {graph}.tflite is missing")
            if graph in card.sums and digest(folder, graph) != card.sums[graph]:
                raise BadWeights(
                    f"weights {folder}: {graph}.tflite is damaged, not the file that its card.yaml names; "
                    "fetch or export them again"
                )
        return Stepper(folder)
    except BadInput as error:
        raise BadWeights(str(error)) from None
    except Mismatch as error:
        raise BadWeights(f"weights {folder}: its graphs do not fit together ({error}); export them again") from None
    except Damaged as error:
        raise BadWeights(f"weights {folder}: {error}; fetch or export them again") from None
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise BadWeights(f"weights {folder}: its .tflite files are damaged") from error


def digest(folder: Path, graph: str) -> str:
    """SHA-256 of one of its graphs, as `card.yaml` gives it. Raises `BadInput` and OSError."""
    return hashlib.sha256(door.read(folder / f"{graph}.tflite", MOST_BYTES)).hexdigest()


def digests(card: Card) -> dict[str, str]:
    """SHA-256 of each graph of a set. Raises `BadWeights`."""
    try:
        return {graph: digest(card.folder, graph) for graph in GRAPHS}
    except (OSError, BadInput) as error:
        raise BadWeights(f"weights {card.folder}: its .tflite files cannot be read ({error})") from None


def load(name: str) -> tuple[Card, Stepper]:
    """The card and the network of a set. Raises `BadWeights`."""
    card = read(name)
    return card, network(card)
