"""The command line of training: a thin skin, like `improv.cli`. TensorFlow is loaded by the commands that need it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from improv.errors import BadInput
from improv.hush import hushed
from improv.plot import check_name
from improv.usage import Commands

HEAVY = ("tensorflow", "keras", "tensorboardX")
BACKENDS = ("tensorflow", "torch", "jax")  # of Keras, that can train
SPLITS = ("split_free", "split")
PARTS = ("train", "validation", "test")

app = typer.Typer(
    cls=Commands,
    help="Make the networks that improv plays: prepare, fit, tune, evaluate, phrases, export, info.",
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
        if (error.name or "").partition(".")[0] not in (*HEAVY, *BACKENDS):
            raise
        _refuse(f"{error.name} is missing; pip install {'improv[train]' if error.name in HEAVY else error.name}")


def _check_folder(flag: str, folder: Path) -> None:
    """Refuse a place where nothing can be written, before hours go into what is to be written there."""
    nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))
    if not nearest.is_dir():
        raise BadInput(f"{flag} {folder}: {nearest} is a file; name another place")
    if not os.access(nearest, os.W_OK):
        raise BadInput(f"{flag} {folder}: {nearest} may not be written; name another place")


def _check_part(part: str) -> None:
    if part not in PARTS:
        raise BadInput(f"--part {part}: give {' or '.join(PARTS)}")


def _check_file(flag: str, file: Path | None) -> None:
    if file and (file.is_dir() or not file.parent.is_dir()):
        raise BadInput(f"{flag} {file}: no file can be made there; name one in a folder that is there")
    if file:
        _check_folder(flag, file.parent)


@contextmanager
def _writing(flag: str, out: Path) -> Iterator[None]:
    """A full disk is one sentence too."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"{flag} {out}: {error.filename or 'it'} cannot be written ({error.strerror or error}); "
            "make room, or name another place"
        ) from None


def _refuse(sentence: str) -> None:
    print(f"improv-train: {sentence}", file=sys.stderr)
    raise typer.Exit(2) from None


def _load(*modules: str) -> None:
    """TensorFlow greets on the file descriptor itself, whatever its log level; import it with that closed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    if backend not in BACKENDS:
        raise BadInput(f"KERAS_BACKEND is {backend}; make it one of {', '.join(BACKENDS)}")
    with hushed():
        for module in modules:
            importlib.import_module(module)


@app.command()
def prepare(
    corpora: Annotated[list[Path], typer.Argument(help="Archives (.tar.xz, .tar.gz, .zip) or folders of MIDI files.")],
    out: Annotated[Path, Flag("--out", help="The folder for the arrays.")],
    jobs: Annotated[int, Flag("--jobs", min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """MIDI files to arrays, one a corpus; goes on where it was stopped, and skips a corpus that is there already."""
    with _at_the_door():
        from train.corpora import archives, corpus

        corpus.check(corpora)
        _check_folder("--out", out)
        manifest = corpus.read_manifest(corpora)
        with _writing("--out", out):
            for source in corpora:
                done = out / f"{archives.name_of(source)}.npz"
                if done.exists():
                    print(f"{archives.name_of(source)}: prepared before, skipped (delete {done} to do it again)")
                    continue
                print(corpus.prepare(source, out, manifest, jobs), flush=True)


@app.command()
def fit(
    config: Annotated[Path, typer.Argument(help="A recipe, for example config/train-open.yaml.")],
    out: Annotated[Path | None, Flag("--out", help="The folder of the run; runs/NAME if not given.")] = None,
    start: Annotated[str | None, Flag("--from", help="A set of weights to go on from, by name or folder.")] = None,
) -> None:
    """Train, or go on where the run was stopped. Ctrl-C stops it."""
    with _at_the_door():
        if not config.is_file():
            raise BadInput(f"recipe {config}: there is no such file; give one such as config/train-open.yaml")
        _choose_backend()
        _load("keras")
        from improv.net.weights import find
        from train import fit
        from train.judge import evaluate
        from train.network import recipe

        wanted = recipe.read_recipe(config)
        if start is not None:
            wanted = replace(wanted, start=start)
        folder = out or Path("runs") / wanted.name
        _check_folder("--out", folder)
        try:
            begin = evaluate.read_weights(find(wanted.start)) if wanted.start else None
            if begin and begin.split != wanted.split:
                print(f"weights {wanted.start}: trained by {begin.split}; it may have heard what {wanted.split} tests")
            with _writing("--out", folder):
                run = fit.Run(wanted, folder, fit.music(wanted), begin)
                with _until_signalled() as stopped:
                    run.fit(stopped)
        except FloatingPointError as error:
            _refuse(f"recipe {config}: {error}")
        best = min(row["nats_per_note"] for row in run.history)
        then = "finished" if run.over else "stopped; the same command goes on from here"
        print(f"{run.folder}: update {run.done}, best validation {best:.3f} nats/note; {then}")


def _choose_backend() -> None:
    """PyTorch trains an LSTM more than twice as fast as TensorFlow on a CPU (docs/training.md)."""
    if "KERAS_BACKEND" not in os.environ and importlib.util.find_spec("torch"):
        os.environ["KERAS_BACKEND"] = "torch"


@contextmanager
def _until_signalled() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM end the update under way and no more; a second Ctrl-C ends all."""
    signalled: list[int] = []

    def note(number: int, _: object) -> None:
        signalled.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(signalled)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@app.command()
def tune(
    weights: Annotated[str, typer.Argument(help="The set of weights to begin with: its name or its folder.")],
    midi: Annotated[Path, typer.Argument(help="Your own MIDI files: a folder or an archive.")],
    out: Annotated[str, Flag("--out", help="The name of the new set (in ./weights), or a folder for it.")],
    jobs: Annotated[int, Flag("--jobs", min=1, help="Processes that read files.")] = os.cpu_count() or 1,
) -> None:
    """Teach a set of weights your own playing: minutes. Its result is for `improv listen --weights NAME`."""
    with _at_the_door():
        _choose_backend()
        _load("tensorflow", "keras")
        from improv.net.weights import Card, find
        from train import tune

        licence = Card.read(find(weights)).licence
        folder = tune.place(out)
        _check_folder("--out", folder)
        with _writing("--out", folder):
            parts, report = tune.own_pieces(midi, jobs)
        print(report)
        how = "each file split by time, as they are few" if parts.by_time else "split by piece"
        learn, stop, told = (f"{sum(p.notes for p in part):,}" for part in parts[:3])
        print(f"{learn} notes to learn from, {stop} to decide when to stop, {told} to report on ({how})", flush=True)
        with _writing("--out", folder):
            print(tune.tune(weights, parts, folder, f"improv-train tune {weights} {midi} --out {out}"))
        print(f"{folder}: written, under the licence of {weights} ({licence}); improv listen --weights {out}")


@app.command()
def evaluate(
    weights: Annotated[str, typer.Argument(help="A set of weights: its name or its folder.")],
    paths: Annotated[list[Path], typer.Argument(help="Prepared arrays (a folder or one .npz), or MIDI files.")],
    to_json: Annotated[Path | None, Flag("--json", help="Write the figures to this file as well.")] = None,
    plots: Annotated[Path | None, Flag("--plots", help="Draw them into this folder as well.")] = None,
    excerpts: Annotated[int, Flag("--excerpts", min=0, help="Places to play on from; 0: do not play.")] = 100,
    split: Annotated[str | None, Flag("--split", help="split_free or split; as trained if not given.")] = None,
    part: Annotated[str, Flag("--part", help="train, validation or test.")] = "test",
    baselines: Baselines = True,
) -> None:
    """How well held-out music is predicted, beside baselines, and what is played after it."""
    with _at_the_door():
        if split not in (None, *SPLITS):
            raise BadInput(f"--split {split}: give {' or '.join(SPLITS)}")
        _check_part(part)
        _check_file("--json", to_json)
        if plots and not (plots.is_dir() or (plots.parent.is_dir() and not plots.exists())):
            raise BadInput(f"--plots {plots}: no folder can be made there; name another")
        if plots:
            _check_folder("--plots", plots)
        from improv.net import weights as sets

        folder = sets.find(weights)
        net = sets.load(str(folder))[1] if excerpts else None
        _load("keras")
        from rich.console import Console

        from train.judge import evaluate, result, tables

        chosen = evaluate.read_weights(folder)
        if split not in (None, chosen.split):
            print(f"--split {split}: {weights} was trained on {chosen.split}, so it may know pieces", file=sys.stderr)
        held = evaluate.read_pieces(paths, split or chosen.split, part, chosen.tier)
        found, performances = result.collect(chosen, held, baselines, net, excerpts)
        tables.show(found, Console(width=max(Console().width, tables.WIDTH), markup=False))
        if to_json:
            with _writing("--json", to_json):
                to_json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        if plots:
            from train.judge import plots as pictures

            with _writing("--plots", plots):
                plots.mkdir(exist_ok=True)
                print("drawn: " + ", ".join(map(str, pictures.draw(found, performances, plots))))


@app.command()
def phrases(
    weights: Annotated[str, typer.Argument(help="A set of weights: its name or its folder.")],
    paths: Annotated[list[Path], typer.Argument(help="Prepared arrays (a folder or one .npz), or MIDI files.")],
    to_json: Annotated[Path | None, Flag("--json", help="Write the curves to this file as well.")] = None,
    plot: Annotated[Path | None, Flag("--plot", help="Draw them into this PNG file as well.")] = None,
    most: Annotated[int, Flag("--excerpts", min=1, help="Phrases of each corpus, at most.")] = 200,
    part: Annotated[str, Flag("--part", help="train, validation or test.")] = "test",
) -> None:
    """How soon the end of a phrase is found, and how often where there is none."""
    with _at_the_door():
        _check_part(part)
        _check_file("--json", to_json)
        _check_file("--plot", plot)
        if plot:
            check_name(plot)
        from improv.net import weights as sets

        folder = sets.find(weights)
        net = sets.load(str(folder))[1]
        _load("keras")
        from rich.console import Console

        from train.judge import evaluate, tables
        from train.judge import phrases as judged
        from train.judge.result import SEED

        chosen = evaluate.read_weights(folder)
        held = evaluate.read_pieces(paths, chosen.split, part, chosen.tier)
        ends = judged.draw(held.test, most, SEED)
        if not ends:
            where = ", ".join(map(str, paths))
            raise BadInput(f"{where}: no phrase of {judged.CHORDS[0]} chords or more in it; name another part or path")
        found = judged.judge(ends, net)
        tables.show_phrases(found, Console(width=max(Console().width, tables.WIDTH), markup=False))
        if to_json:
            with _writing("--json", to_json):
                to_json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        if plot:
            from train.judge import plots

            with _writing("--plot", plot):
                plots.phrases(found).savefig(plot, dpi=120, format="png")


@app.command()
def scales(
    data: Annotated[Path, typer.Argument(help="A folder of prepared arrays.")],
    part: Annotated[str, Flag("--part", help="train, validation or test.")] = "test",
    learn: Annotated[bool, Flag("--learn", help="Learn the votes of improv/music/tonality.py anew.")] = False,
) -> None:
    """How many of a player's next notes lie in the scale inferred from those before, beside Krumhansl's."""
    with _at_the_door():
        _check_part(part)
        _load("keras")
        from rich.console import Console

        from train.corpora import pieces
        from train.judge import scales, tables, votes

        corpora = pieces.load(data)
        parts = ("train",) if learn else ("validation", part)
        tiers = pieces.TIERS["open"] if learn else None
        chosen = [pieces.pieces(corpora, "split", name, tiers) for name in parts]
        if not all(chosen):
            raise BadInput(f"{data}: no {' and '.join(parts)} pieces there; name what improv-train prepare wrote")
        if learn:
            for row in votes.learn(*chosen):
                print("(" + ", ".join(f"{vote:.2f}" for vote in row) + "),")
        else:
            tables.show_scales(scales.figures(*chosen), Console(width=max(Console().width, tables.WIDTH)))


@app.command()
def info(
    names: Annotated[list[str], typer.Argument(help="Sets of weights, folders that fit made, or prepared arrays.")],
) -> None:
    """What is inside: sizes, figures, learning curves, licences."""
    with _at_the_door():
        _load("keras")
        from rich.console import Console

        from train import info

        for name in names:
            Console(width=max(Console().width, 120), markup=False).print(*info.info(name), sep="\n\n", highlight=False)


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
        _check_folder("--out", out)
        _load("tensorflow", "keras")
        from train.ship import export

        with _writing("--out", out):
            export.export(run, out, data, baselines)
        print(f"{out}: written")


def main() -> None:
    app(prog_name="improv-train")
