"""The recipe of a training run: a YAML file that is checked key by key."""

from __future__ import annotations

import difflib
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from improv import door
from improv.errors import BadInput
from train.corpora.pieces import TIERS
from train.network import model
from train.network.augment import Amounts

EXAMPLE = "config/train-open.yaml"
SPLITS = ("split", "split_free")  # columns of the manifest
PRECISIONS = ("float32", "bfloat16")
SIZES = tuple(f"shape: {name}" for name in vars(model.Shape()))
NOT_ZERO = ("batch", "steps", "updates", "validate_every", "validate_notes", "clip", *SIZES)
SHARES = ("dropout", "no_clock", "no_style", "two_players", "midway")
LARGEST = 2**31  # of any number: what dice take as a seed


@dataclass(frozen=True)
class LossWeights:
    """What an attribute's nats count for."""

    dt: float = 1.0
    what: float = 1.0
    velocity: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run; the YAML file names the same keys."""

    name: str
    data: Path
    tier: str = "open"
    split: str = "split_free"
    start: str = ""  # a set of weights to go on from
    shape: model.Shape = field(default_factory=model.Shape)
    precision: str = "float32"  # of the recurrence's matrix products
    batch: int = 64
    steps: int = 128  # tokens a window: how far the gradient reaches back
    updates: int = 2000
    warmup: int = 100  # updates in which the learning rate rises
    decay: int = 1000  # updates at the end in which it falls to nothing
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    clip: float = 1.0
    dropout: float = 0.1
    emphasis: dict[str, float] = field(default_factory=dict)  # corpus: how much oftener than its length says
    augment: Amounts = field(default_factory=Amounts)
    loss: LossWeights = field(default_factory=LossWeights)
    validate_every: int = 250
    validate_notes: int = 100_000  # so much of the validation pieces is scored under way
    patience: int = 0  # validations in a row without a better one that end the run; 0: it goes on
    seed: int = 1


def read_recipe(path: Path) -> Recipe:
    """Raises `BadInput` for a file or a key that is not a recipe's."""
    try:
        _, values = door.read_yaml(path)
    except OSError as error:
        raise BadInput(f"recipe {path}: it cannot be read ({error.strerror}); give a file such as {EXAMPLE}") from None
    except BadInput as error:
        raise BadInput(f"recipe {error}; give a file such as {EXAMPLE}") from None
    recipe = Recipe(**_checked(f"recipe {path}:", Recipe, values))
    if Path(recipe.name).name != recipe.name or recipe.name in ("", ".."):
        raise BadInput(f"recipe {path}: name is {recipe.name!r}; give a name that a folder can have")
    choices = (("tier", tuple(TIERS)), ("split", SPLITS), ("precision", PRECISIONS))
    for key, known in choices:
        if getattr(recipe, key) not in known:
            raise BadInput(f"recipe {path}: {key} is {getattr(recipe, key)!r}; give {' or '.join(known)}")
    return recipe


def write_recipe(recipe: Recipe, path: Path) -> None:
    """As `read_recipe` reads it."""
    values = {**asdict(recipe), "data": str(recipe.data)}
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def _checked(where: str, kind: type, values: object) -> dict[str, Any]:
    """The fields of a dataclass from a YAML mapping, each of the type it has there."""
    if not isinstance(values, dict):
        raise BadInput(f"{where} there are no keys in it; give those of {EXAMPLE}")
    known = {f.name: f for f in fields(kind)}
    types = get_type_hints(kind)
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
            raise BadInput(f"{where} unknown key {key}; {hint}")
    for key, f in known.items():
        if key not in values and f.default is MISSING and f.default_factory is MISSING:
            raise BadInput(f"{where} the key {key} is missing; add it")
    given = {key: _value(f"{where} {key}", types[key], value) for key, value in values.items()}
    return given


def _value(where: str, wanted: type, value: object) -> Any:
    if is_dataclass(wanted):
        return wanted(**_checked(f"{where}:", wanted, value))
    if wanted == dict[str, float]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise BadInput(f"{where} is {value!r}; give names with a number each")
        return {key: _value(f"{where}.{key}", float, number) for key, number in value.items()}
    accepted = {float: (int, float), int: (int,), str: (str,), Path: (str,)}[wanted]
    if not isinstance(value, accepted) or isinstance(value, bool):
        kind = {float: "a number such as 0.001", int: "a whole number", str: "text", Path: "a folder"}[wanted]
        raise BadInput(f"{where} is {value!r}; give {kind}")
    if isinstance(value, (int, float)):
        _check_range(where, value)
    return wanted(value)


def _check_range(where: str, value: float) -> None:
    """No number of a recipe means anything below nothing; `where` ends with its key."""
    most = 1 if where.endswith(SHARES) else LARGEST
    if not 0 <= value <= most:  # nor one that is no number
        raise BadInput(f"{where} is {value}; give 0 to {most}")
    if where.endswith(NOT_ZERO) and not value:
        raise BadInput(f"{where} is 0; give more")
