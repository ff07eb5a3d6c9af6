"""The figures of an evaluation as tables that can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from train.judge import baselines, phrases
from train.network.likelihood import ATTRIBUTES

WIDTH = 104  # columns; a narrower terminal would cut figures short
NAMES = {  # of who plays
    "truth": "what really followed",
    "network": "the network",
    "echo": "the prime again",
    "continuator": "Markov, of the prime",
    "continuator_all": "Markov, of the corpus",
    "another": "another place's",
}
_SHORT = {"truth": "followed", "network": "network", "continuator": "Markov", "echo": "prime"}


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print all that a result has."""
    _nats(result, console)
    if "accuracy" in result:
        _attributes(result, console)
        _told(result, console)
        _by_time(result["by_time"], console)
        if result["long_session"]:
            _session(result["long_session"], console)
        _memory(result["memory"], console)
    if "plays" in result:
        _plays(result["plays"], console)
    for line in result.get("left_out", ()):
        console.print(line, soft_wrap=True)


def show_scales(found: Mapping[str, Any], console: Console) -> None:
    """Print what `train.judge.scales` finds."""
    least, windows, sizes = found["least_share"], found["windows_s"], found["pitch_classes"]
    columns = ("ours", "Krumhansl", "harmonic", "by notes", "hindsight")
    rows = {"all": found["all"], **{f"  {corpus}": row for corpus, row in found["by_corpus"].items()}}
    every = _table("the player's next 8 s of notes inside the scale inferred", "places", *columns)
    locked = _table(f"the same where ours is expected to hold {least:.0%} of them or more", "of places", *columns)
    for name, row in rows.items():
        every.add_row(name, f"{row['places']:,}", *(_cell(share, ".1%") for share in row["inside"].values()))
        cells = (_cell(share, ".1%") for share in row["inside_locked"].values())
        locked.add_row(name, _cell(row["share_locked"], ".1%"), *cells)
    for table in (every, locked):
        console.print(table)
        console.print()
    console.print(
        f"Pitch classes on average: ours {sizes['ours']:.2f}, Krumhansl's {sizes['krumhansl']:.2f}.\n"
        f"Krumhansl: the key of the last {windows['durations']:g} s, notes weighed by how long they sound; natural\n"
        f"minor, or harmonic. by notes: natural; notes are counted, those of the last {windows['notes']:g} s.\n"
        "hindsight: the best of our scales, once the eight seconds are over. All: corpora count alike."
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _cell(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else format(value, form)


def _nats(result: Mapping[str, Any], console: Console) -> None:
    title = f"nats per note, {result['notes']:,} notes in {result['pieces']:,} pieces"
    table = _table(title, "notes", "total", *ATTRIBUTES, "10 ms", "/event", "/s")
    _nats_row(table, "network", result)
    for corpus, figures in result["by_corpus"].items():
        _nats_row(table, f"  {corpus}", figures)
    for name, figures in result.get("baselines", {}).items():
        if name in baselines.NAMES:
            _nats_row(table, name, figures)
    console.print(table)
    console.print("10 ms: on a grid of 10 ms. /event: per event of the 388-event scheme. /s: per second.\n")


def _nats_row(table: Table, name: str, figures: Mapping[str, Any]) -> None:
    nats = [figures["nats_per_note"], *(figures["by_attribute"][attribute] for attribute in ATTRIBUTES)]
    nats += [figures["nats_per_note_10ms"], figures["nats_per_event_388"], figures["nats_per_second"]]
    table.add_row(name, f"{figures['notes']:,}", *(_cell(value) for value in nats))


def _attributes(result: Mapping[str, Any], console: Console) -> None:
    table = _table("its likeliest value", *ATTRIBUTES)
    table.add_row("is right", *(_cell(result["accuracy"][name], ".1%") for name in ATTRIBUTES))
    errors = [result["calibration"].get(name, {}).get("expected_calibration_error") for name in ATTRIBUTES]
    table.add_row("calibration error, expected", *(_cell(value) for value in errors))
    console.print(table)
    console.print()


def _told(result: Mapping[str, Any], console: Console) -> None:
    table = _table("nats per note by what it is told (on samples)", "notes", "told", "not told", "told wrongly")
    for name, row in result["style"].items():
        _told_row(table, f"style, of {name}", row["notes"], row["right"], row["none"], row["wrong"])
    if result["metre"]:
        row = result["metre"]
        _told_row(table, "beat, bar and tempo", row["notes"], row["with"], row["without"])
    for part, row in result["who"].items():
        _told_row(table, f"who plays, of the {part} part", row["notes"], row["with"], row["without"])
    console.print(table)
    console.print()


def _told_row(table: Table, name: str, notes: int, *nats: float | None) -> None:
    row = [*nats, None][:3]
    table.add_row(name, f"{notes:,}", *(_cell(value) for value in row))


def _by_time(found: Mapping[str, Any], console: Console) -> None:
    table = _table("nats per note by the time since the start of a piece", "notes", "first minute", "notes", "after it")
    for name, row in {"all": found, **{f"  {corpus}": own for corpus, own in found["by_corpus"].items()}}.items():
        cells = []
        for part in (row.get("first_minute"), row.get("later")):
            cells += [f"{part['notes']:,}", _cell(part["nats_per_note"])] if part else ["–", "–"]
        table.add_row(name, *cells)
    console.print(table)
    console.print()


def _session(found: Mapping[str, Any], console: Console) -> None:
    table = _table("nats per note late in a session", "after min", "notes", "in the session", "fresh start")
    for corpus, row in found.items():
        cells = (f"{row['minutes_before']:.0f}", f"{row['notes']:,}", _cell(row["carried"]), _cell(row["fresh"]))
        table.add_row(corpus, *cells)
    console.print(table)
    console.print()


def _memory(found: Mapping[str, Any], console: Console) -> None:
    title = f"nats per note of the second half of {found['pieces']} pieces, with a memory of the first and without"
    table = _table(title, "notes", "total: with", "without", "what: with", "without", "dt: with", "without")
    for name, row in {"all": found, **{f"  {corpus}": own for corpus, own in found["by_corpus"].items()}}.items():
        nats = [_cell(row[way][part]) for part in ("total", "what", "dt") for way in ("with", "without")]
        table.add_row(name, f"{row['notes']:,}", *nats)
    console.print(table)
    console.print()


def show_phrases(found: Mapping[str, Any], console: Console) -> None:
    """Print the curves of false ends against delay, by corpus and rule."""
    title = f"median seconds to the end of a phrase, of {found['excerpts']} phrases, by the share with a false end"
    columns = [f"<= {level:.0%}" for level in phrases.LEVELS]
    table = _table(title, "phrases", *columns, "as set: false", "s")
    for name, row in {"all": found, **{f"  {corpus}": own for corpus, own in found["by_corpus"].items()}}.items():
        as_set = row["as set"][0]
        for rule in phrases.RULES:
            points = [phrases.soonest(row[rule], level) for level in phrases.LEVELS]
            cells = [_cell(point and point["median_s"], ".2f") for point in points]
            own = [_cell(as_set["false"], ".0%"), _cell(as_set["median_s"], ".2f")] if rule == "turns" else []
            table.add_row(f"{name}, {rule}", str(row["excerpts"]), *cells, *own)
    console.print(table)
    console.print(
        "turns: the rule that plays, by `silence`. fixed: a silence of one length. network: its own expectation.\n"
    )


def _plays(plays: Mapping[str, Any], console: Console) -> None:
    title = f"what it plays: {plays['excerpts']} places, {plays['seconds']:.0f} s each, beside what really followed"
    columns = ("pitch cl.", "onsets", "semitones", "range", "velocity", "waits", "in key")
    copied = "copied_8grams" in plays["players"]["truth"]
    table = _table(title, *columns, *(("copied", "longest") if copied else ()))
    _players(table, plays["players"])
    console.print(table)
    console.print(
        "pitch cl., velocity, waits: overlap with what followed. onsets: its number over theirs. range: overlap.\n"
        "in key: of the prime. copied: 8-grams found in the training notes; longest: run of notes found there.\n"
    )
    _copied(plays["by_corpus"], console)


def _players(table: Table, players: Mapping[str, Any]) -> None:
    for player, row in players.items():
        names = ("pitch_classes", "density", "semitones", "range", "velocity", "inter_onset", "in_scale")
        forms = (".2f", ".2f", ".0f", ".2f", ".2f", ".2f", ".1%")
        cells = [_cell(row[name], form) for name, form in zip(names, forms, strict=True)]
        if "copied_8grams" in row:
            cells += [_cell(row["copied_8grams"], ".1%"), str(row["longest_copied"])]
        table.add_row(NAMES[player], *cells)


def _copied(by_corpus: Mapping[str, Any], console: Console) -> None:
    shares, overlaps = ("truth", "network", "continuator"), ("network", "continuator", "echo")
    heads = [f"copied:\n{_SHORT[name]}" for name in shares] + [f"pitch cl.:\n{_SHORT[name]}" for name in overlaps]
    table = _table("by corpus", "places", *heads)
    for corpus, row in by_corpus.items():
        players = row["players"]
        cells = [_cell(players.get(name, {}).get("copied_8grams"), ".1%") for name in shares]
        cells += [_cell(players.get(name, {}).get("pitch_classes"), ".2f") for name in overlaps]
        table.add_row(corpus, str(row["excerpts"]), *cells)
    console.print(table)
    console.print()
