"""The command line of training: a thin skin, like `improv.cli`. TensorFlow is loaded by the commands that need it."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from improv.errors import BadInput
from improv.hush import hushed

HEAVY = ("tensorflow", "keras")

app = typer.Typer(
    help="Make the networks that improv plays: prepare, fit, evaluate, export.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # errors in one plain line, not in a box
    pretty_exceptions_enable=False,
)

Flag = typer.Option
Baselines = Annotated[bool, Flag("--baselines/--no-baselines", help="Score the baselines too (minutes).")]


@contextmanager
def _at_the_door() -> Iterator[None]:
    """A user's mistake is one sentence and exit code 2."""
    try:
        yield
    except BadInput as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in HEAVY:
            raise
        _refuse(f"{error.name} is missing; pip install improv[train]")


def _refuse(sentence: str) -> None:
    print(f"improv-train: {sentence}", file=sys.stderr)
    raise typer.Exit(2) from None


def _load(*modules: str) -> None:
    """TensorFlow greets on the file descriptor itself, whatever its log level; import it with that closed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hushed():
        for module in modules:
            importlib.import_module(module)


@app.command()
def prepare(
    corpora: Annotated[list[Path], typer.Argument(help="Archives (.tar.xz) or folders of MIDI files.")],
    out: Annotated[Path, Flag("--out", help="The folder for the arrays.")],
    jobs: Annotated[int, Flag("--jobs", min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """MIDI files to arrays, one a corpus; a corpus that is there already is skipped."""
    with _at_the_door():
        for corpus in corpora:
            if not corpus.exists():
                raise BadInput(f"{corpus}: there is no such archive or folder")
        from train import prepare

        out.mkdir(parents=True, exist_ok=True)
        manifest = prepare.read_manifest(corpora)
        for corpus in corpora:
            name = corpus.name.removesuffix(".tar.xz")
            if (out / f"{name}.npz").exists():
                print(f"{name}: prepared before, skipped (delete {out / f'{name}.npz'} to do it again)")
                continue
            report = prepare.prepare(corpus, out, manifest, jobs)
            said = ", ".join(f"{count} {what}" for what, count in report.most_common())
            print(f"{name}: {said or 'no MIDI files in it'}")


@app.command()
def fit(
    config: Annotated[Path, typer.Argument(help="A recipe, for example config/train-open.yaml.")],
    out: Annotated[Path | None, Flag("--out", help="The folder of the run; runs/NAME if not given.")] = None,
) -> None:
    """Train, or go on where the run was stopped."""
    with _at_the_door():
        if not config.is_file():
            raise BadInput(f"recipe {config}: there is no such file; give one such as config/train-open.yaml")
        _load("keras")
        from train import fit, recipe

        wanted = recipe.read_recipe(config)
        try:
            fit.Run(wanted, out or Path("runs") / wanted.name).fit()
        except FloatingPointError as error:
            _refuse(f"recipe {config}: {error}")


@app.command()
def evaluate(
    weights: Annotated[str, typer.Argument(help="A set of weights: its name or its folder.")],
    paths: Annotated[list[Path], typer.Argument(help="Prepared arrays (a folder or one .npz), or MIDI files.")],
    to_json: Annotated[Path | None, Flag("--json", help="Write the figures to this file as well.")] = None,
    split: Annotated[str, Flag("--split", help="split_free, or split (as MAESTRO's).")] = "split_free",
    part: Annotated[str, Flag("--part", help="train, validation or test.")] = "test",
    baselines: Baselines = True,
) -> None:
    """Nats per note of held-out music, beside baselines trained on the same notes."""
    with _at_the_door():
        for flag, value, known in (
            ("split", split, ("split_free", "split")),
            ("part", part, ("train", "validation", "test")),
        ):
            if value not in known:
                raise BadInput(f"--{flag} {value}: give {' or '.join(known)}")
        if to_json and not to_json.parent.is_dir():
            raise BadInput(f"--json {to_json}: there is no folder {to_json.parent}; make it first")
        _load("keras")
        from rich.console import Console

        from improv.net.weights import find
        from train import evaluate

        chosen = evaluate.read_weights(find(weights))
        held = evaluate.read_pieces(paths, split, part, chosen.tier)
        result = evaluate.summary(evaluate.network(chosen.values, chosen.shape, held.test))
        result["baselines"] = evaluate.compare(held) if baselines and held.train and held.validation else {}
        evaluate.show(result, Console(width=max(Console().width, evaluate.WIDTH)))
        if to_json:
            to_json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The folder that fit made.")],
    out: Annotated[Path, Flag("--out", help="The folder of weights to write, for example weights/open.")],
    data: Annotated[Path | None, Flag("--data", help="Prepared arrays; the recipe's if not given.")] = None,
    baselines: Baselines = True,
) -> None:
    """The best parameters of a run as a folder of weights that improv plays."""
    with _at_the_door():
        if not run.is_dir():
            raise BadInput(f"{run}: there is no such folder; give the one that fit made")
        _load("tensorflow", "keras")
        from train import export

        export.export(run, out, data, baselines)
        print(f"{out}: written")


def main() -> None:
    app(prog_name="improv-train")
