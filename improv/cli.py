"""The command line: a thin skin that reads flags and says what went wrong."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from improv import __version__
from improv.endings import endings
from improv.errors import BadInput
from improv.usage import Commands

app = typer.Typer(
    cls=Commands,
    help="A machine that improvises with you over MIDI.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # errors in one plain line, not in a box
    pretty_exceptions_enable=False,
)

Flag = typer.Option
ConfigFile = Annotated[Path | None, Flag("--config", help="A YAML file of settings (see config/default.yaml).")]
Presets = Annotated[
    list[str] | None, Flag("--preset", help="More settings, over those: a name (see `improv presets`) or a file.")
]
Weights = Annotated[str | None, Flag("--weights", help="A set of weights: its name or its folder.")]
Style = Annotated[str | None, Flag("--style", help="Play in a style that the weights know (see `improv weights`).")]
Temperature = Annotated[float | None, Flag("--temperature", help="Below 1 plays safe, above 1 takes risks.")]
TopP = Annotated[float | None, Flag("--top-p", help="Play only the likeliest choices up to this mass.")]
Memory = Annotated[float | None, Flag("--memory", help="0 to 1: how much it quotes what you played before.")]
Variation = Annotated[float | None, Flag("--variation", help="0 to 1: it quotes the phrase it answers, or is free.")]
Key = Annotated[str | None, Flag("--key", help="Keep to a scale such as 'D dorian', or to yours: inferred.")]
Density = Annotated[float | None, Flag("--density", help="0.25 to 4: times as many notes in a time.")]
Length = Annotated[float | None, Flag("--length", help="0.25 to 8: answers so many times as long as your phrase.")]
Player = Annotated[str | None, Flag("--player", help="Begin with what this player's memory holds: a name or a file.")]
Bpm = Annotated[float | None, Flag("--bpm", help="Beats at this tempo from the first note on.")]
RandomSeed = Annotated[int | None, Flag("--random-seed", help="The same number, the same dice.")]
Api = Annotated[str | None, Flag("--api", help="auto, alsa, jack, coremidi or winmm.")]
Json = Annotated[bool, Flag("--json", help="Print it for programs.")]


@contextmanager
def _at_the_door() -> Iterator[None]:
    """A user's mistake is one sentence and exit code 2."""
    try:
        yield
    except BadInput as error:
        print(f"improv: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _leave_quietly_until_it_listens() -> None:
    """Before the daemon handles signals itself nothing sounds: any of them is an orderly end."""
    for number in endings():
        signal.signal(number, lambda *_: os._exit(0))
    if hasattr(signal, "SIGUSR1"):  # a panic, but nothing sounds yet
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def _sources(config: Path | None, presets: list[str] | None) -> list[Any]:
    """What goes over the defaults, each over those before it."""
    from improv import config as settings
    from improv import presets as shared

    return [*([settings.read(config)] if config is not None else []), *map(shared.read, presets or [])]


def _settings(config: Path | None, presets: list[str] | None = None, **flags: Any) -> Any:
    from improv import config as settings

    return settings.override(settings.settled(_sources(config, presets)), **flags)


def _live_settings(config: Path | None, presets: list[str] | None, **flags: Any) -> Any:
    """For playing live they must fit together, too; a flag may mend what a file alone leaves open."""
    from improv.together import check_together

    settings = _settings(config, presets, **flags)
    check_together(settings)
    return settings


def _card(settings: Any) -> Any:
    """The card of the weights that will play; what binds the player is said."""
    card = _checked_card(settings)
    if card.terms is not None:
        print(f"improv: {card.terms}", file=sys.stderr, flush=True)
    return card


def _checked_card(settings: Any) -> Any:
    """A style that the weights do not know is refused."""
    from improv.net import weights

    card = weights.read(settings.weights)
    card.check_style(settings.steering.style)
    return card


def _check_all(settings: Any) -> None:
    """What `listen` refuses before it looks for a port."""
    from improv import presets
    from improv.together import check_together

    check_together(settings)
    card = _checked_card(settings)
    presets.on_controls(settings.controls, card.check_style)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"improv {__version__}")
        raise typer.Exit()


@app.callback()
def improv(
    version: Annotated[
        bool, Flag("--version", help="Print the version.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    pass


@app.command()
def listen(
    source: Annotated[str | None, Flag("--in", help="The port you play on: its name or part of it.")] = None,
    sink: Annotated[str | None, Flag("--out", help="The port it plays on, or `builtin`.")] = None,
    virtual: Annotated[bool | None, Flag("--virtual", help="Open a port of its own for each side not named.")] = None,
    wait: Annotated[bool | None, Flag("--wait", help="Wait for a port that is not there yet.")] = None,
    thru: Annotated[bool | None, Flag("--thru/--no-thru", help="Send your own notes on as well.")] = None,
    in_channel: Annotated[int | None, Flag("--in-channel", help="Listen to this channel only.")] = None,
    out_channel: Annotated[int | None, Flag("--out-channel", help="The channel it plays on.")] = None,
    thru_channel: Annotated[int | None, Flag("--thru-channel", help="The channel your notes go on to.")] = None,
    turn_cc: Annotated[int | None, Flag("--turn-cc", help="A controller: answer now, or stop.")] = None,
    tap_cc: Annotated[int | None, Flag("--tap-cc", help="A controller: tap the beat.")] = None,
    clock: Annotated[str | None, Flag("--clock", help="The beat comes from: internal, midi or link.")] = None,
    clock_in: Annotated[str | None, Flag("--clock-in", help="The port of the MIDI clock, if it is another.")] = None,
    clock_offset_ms: Annotated[
        float | None, Flag("--clock-offset-ms", help="The beat is so much later than the clock says.")
    ] = None,
    clock_out: Annotated[bool | None, Flag("--clock-out/--no-clock-out", help="Send a MIDI clock.")] = None,
    click: Annotated[bool | None, Flag("--click/--no-click", help="Send a click on channel 10.")] = None,
    metre: Annotated[str | None, Flag("--metre", help="Of the bars that are counted, such as 3/4.")] = None,
    mode: Annotated[str | None, Flag("--mode", help="call, trade (bars in turn), duet or continue.")] = None,
    bars: Annotated[int | None, Flag("--bars", help="Of each turn, when bars are traded.")] = None,
    enter: Annotated[str | None, Flag("--enter", help="An answer begins on the next bar, beat, or now.")] = None,
    grid: Annotated[str | None, Flag("--grid", help="1/4, 1/8, 1/8t, 1/16, 1/16t or 1/32.")] = None,
    quantize: Annotated[float | None, Flag("--quantize", help="0 to 1: how tightly it keeps to the grid.")] = None,
    out_latency_ms: Annotated[
        float | None, Flag("--out-latency-ms", help="Send so much earlier than it is to sound.")
    ] = None,
    record: Annotated[str | None, Flag("--record", help="Write the session to a MIDI file in this folder.")] = None,
    verbose: Annotated[bool | None, Flag("--verbose", "-v", help="Say a line about each turn, and the beat.")] = None,
    plain: Annotated[bool | None, Flag("--plain", help="Lines only, no view on the terminal.")] = None,
    log_file: Annotated[str | None, Flag("--log-file", help="Add such lines, and more, to this file.")] = None,
    config: ConfigFile = None,
    presets: Presets = None,
    weights: Weights = None,
    style: Style = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    memory: Memory = None,
    variation: Variation = None,
    key: Key = None,
    density: Density = None,
    length: Length = None,
    player: Player = None,
    bpm: Bpm = None,
    random_seed: RandomSeed = None,
    api: Api = None,
) -> None:
    """Call and response: play, stop, and it answers. Ctrl-C ends it."""
    _leave_quietly_until_it_listens()
    with _at_the_door():
        settings = _live_settings(
            config, presets, weights=weights, style=style, temperature=temperature, top_p=top_p, memory=memory,
            variation=variation, key=key, density=density, length=length, bpm=bpm, random_seed=random_seed, api=api,
            player=player, virtual=virtual, wait=wait, thru=thru, in_channel=in_channel, out_channel=out_channel,
            thru_channel=thru_channel, turn_cc=turn_cc, tap_cc=tap_cc, clock=clock,
            clock_in=clock_in, clock_offset_ms=clock_offset_ms, clock_out=clock_out, click=click, metre=metre,
            mode=mode, bars=bars, enter=enter, grid=grid, quantize=quantize, out_latency_ms=out_latency_ms,
            record=record, verbose=verbose, plain=plain, log_file=log_file, **{"in": source, "out": sink},
        )  # fmt: skip
        from improv.live import daemon

        raise typer.Exit(daemon.listen(settings, _card(settings)))


@app.command()
def demo(
    out: Annotated[
        Path, Flag("--out", help="The folder for duet.mid, duet.wav and duet.png, made if need be.")
    ] = Path(),
    config: ConfigFile = None,
    presets: Presets = None,
    weights: Weights = None,
    style: Style = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    memory: Memory = None,
    variation: Variation = None,
    key: Key = None,
    density: Density = None,
    length: Length = None,
    player: Player = None,
    random_seed: RandomSeed = None,
) -> None:
    """Hear it without any hardware: a bundled phrase is played to it, and it answers."""
    with _at_the_door():
        by_itself = {"clock": "internal", "clock_offset_ms": 0.0}  # the phrase brings its own beat
        settings = _settings(
            config, presets, weights=weights, style=style, temperature=temperature, top_p=top_p, memory=memory,
            variation=variation, key=key, density=density, length=length, random_seed=random_seed, player=player,
            **by_itself,
        )  # fmt: skip
        from improv import demo

        card = _card(settings)
        demo.outputs(out).check()
        demo.demo(settings, card, out)


@app.command()
def render(
    seed: Annotated[Path, typer.Argument(help="The MIDI file that is answered.")],
    out: Annotated[Path, Flag("-o", "--out", help="The MIDI file to write.")],
    seconds: Annotated[float | None, Flag("--seconds", help="Answer for so long.")] = None,
    notes: Annotated[int | None, Flag("--notes", help="Answer with so many notes.")] = None,
    bars: Annotated[int | None, Flag("--bars", help="Answer for so many bars (where the beat is known).")] = None,
    only_answer: Annotated[bool, Flag("--only-answer", help="Write the answer without the seed.")] = False,
    wav: Annotated[Path | None, Flag("--wav", help="Write the sound as well.")] = None,
    plot: Annotated[Path | None, Flag("--plot", help="Draw a piano roll (PNG).")] = None,
    config: ConfigFile = None,
    presets: Presets = None,
    weights: Weights = None,
    style: Style = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    memory: Memory = None,
    variation: Variation = None,
    key: Key = None,
    density: Density = None,
    length: Length = None,
    player: Player = None,
    bpm: Bpm = None,
    random_seed: RandomSeed = None,
) -> None:
    """Answer a MIDI file offline, with the same engine."""
    with _at_the_door():
        settings = _settings(
            config, presets, weights=weights, style=style, temperature=temperature, top_p=top_p, memory=memory,
            variation=variation, key=key, density=density, length=length, bpm=bpm, random_seed=random_seed,
            player=player,
        )  # fmt: skip
        from improv import render

        goal = render.goal(seconds, notes, bars)
        for line in render.render(seed, render.Outputs(out, wav, plot), settings, _card(settings), goal, only_answer):
            print(line)


@app.command()
def replay(
    log: Annotated[Path, typer.Argument(help="The log of a session (in the folder of --record).")],
    out: Annotated[Path | None, Flag("--out", help="Write what was played as a MIDI file.")] = None,
    player: Annotated[
        str | None, Flag("--player", help="Keep for this player what the session's memory held at its end.")
    ] = None,
    weights: Weights = None,
) -> None:
    """Play a session again from its log, and see that the notes are the same."""
    with _at_the_door():
        from improv import replay

        lines, same = replay.replay(log, weights, out, player)
    print("\n".join(lines))
    raise typer.Exit(0 if same else 1)


@app.command()
def recover(
    path: Annotated[str, typer.Argument(help="A log, or the folder of --record.")],
) -> None:
    """Make the MIDI files of sessions that were cut short."""
    with _at_the_door():
        if not path:
            raise BadInput('recover "": it names no log and no folder; this one is called "."')
        from improv.recording import recovered

    outcomes = list(recovered(Path(path)))
    for outcome in outcomes:
        print(outcome.line if outcome.good else f"improv: {outcome.line}", file=None if outcome.good else sys.stderr)
    if not outcomes:
        print(f"{path}: there is nothing to recover")
    raise typer.Exit(0 if all(outcome.good for outcome in outcomes) else 2)


@app.command()
def learn(
    names: Annotated[list[str] | None, typer.Argument(help="The controls, such as turn or temperature.")] = None,
    source: Annotated[str | None, Flag("--in", help="The port of the controller: its name or part of it.")] = None,
    config: Annotated[Path | None, Flag("--config", help="The file of settings that is changed or made.")] = None,
    api: Api = None,
) -> None:
    """Touch a control to say what it is to do. Without names it asks for them; without a file it only shows."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in what it starts with `&`
    with _at_the_door():
        from improv import config as settings
        from improv import learn

        read = settings.read(config) if config is not None and config.exists() else None
        found = settings.override(settings.settled([] if read is None else [read]), api=api, **{"in": source})
        learn.learn(found, read, names or [], config)


@app.command()
def ports(as_json: Json = False) -> None:
    """The MIDI systems that open here, and their ports."""
    from improv.midi import ports

    found = ports.survey()
    if as_json:
        print(json.dumps([system._asdict() for system in found], indent=2))
        return
    if not found:
        print("no MIDI system opens on this machine; `improv demo` plays without one")
    for system in found:
        print(f"{system.api}")
        for side, names in (("in", system.inputs), ("out", system.outputs)):
            for name in names or ["(none)"]:
                print(f"  {side:4}{name}")


@app.command()
def panic(
    sink: Annotated[str, Flag("--out", help="The port to silence: its name or part of it.")],
    api: Api = None,
) -> None:
    """End every note on all channels of a port, whoever began it."""
    with _at_the_door():
        settings = _settings(None, api=api)
        from improv import panic

        print(f'"{panic.silence(settings.ports.api, sink)}" is silent')


@app.command()
def doctor(config: ConfigFile = None, weights: Weights = None, as_json: Json = False) -> None:
    """Measure this machine: latency, displacement, the network's speed, start-up."""
    with _at_the_door():
        settings = _settings(config, weights=weights)
        from improv import doctor

        found = doctor.examine(settings)
    print(json.dumps(found, indent=2) if as_json else "\n".join(doctor.lines(found)))
    raise typer.Exit(0 if doctor.passes(found) else 1)


@app.command()
def weights(
    name: Annotated[str | None, typer.Argument(help="Show the whole card of this set.")] = None,
) -> None:
    """The installed sets of weights: where they are, their licence, what they heard and how well they know it."""
    from improv import catalogue
    from improv.config import Settings
    from improv.net import weights

    with _at_the_door():
        if name is not None:
            print(weights.Card.read(weights.find(name)).text.rstrip())
            return
        folders = weights.folders()
        if not folders:
            raise BadInput("no weights are installed; train some with improv-train, or name a folder with --weights")
        print("\n".join(catalogue.lines([weights.Card.read(folder) for folder in folders], Settings().weights)))


@app.command()
def players() -> None:
    """The players in ./players: what `improv listen --player NAME` begins with, and adds to."""
    from improv import players

    print("\n".join(players.lines()) or "there are none yet; `improv listen --player NAME` makes one")


@app.command()
def presets() -> None:
    """The presets found, in ./presets and those that came with the program, and what each one is for."""
    from improv import presets

    print("\n".join(presets.lines()))


@app.command()
def config(config: ConfigFile = None, presets: Presets = None, as_json: Json = False) -> None:
    """Every setting as it will be, before any flags, and which file or preset set it."""
    with _at_the_door():
        sources = _sources(config, presets)
        from improv import config as settings
        from improv import origins

        said = origins.origins(sources)
        if as_json:
            print(json.dumps({key: one._asdict() for key, one in said.items()}, indent=2))
        else:
            print("\n".join(origins.lines(said)))
        sys.stdout.flush()
        _check_all(settings.settled(sources))
