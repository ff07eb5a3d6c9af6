"""MIDI learn: asks for controls by their names, hears which ones are touched, and writes that into the settings."""

from __future__ import annotations

import contextlib
import difflib
import os
import queue
import reprlib
import sys
import textwrap
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from improv import presets, whole, written
from improv.clock import now_ns
from improv.config import Settings, Source
from improv.errors import BadInput
from improv.midi import ports, wire
from improv.music.hands import BUTTONS, KNOBS, PRESET
from improv.music.schedule import SUSTAIN
from improv.music.touch import Touch
from improv.music.trigger import CONTROLLER, Trigger

PATIENCE_S = 20.0  # after so much silence a word of help is said
WIDTH = 80  # columns
LONGEST_LINE = 1024  # bytes that are typed

Say = Callable[[str], None]
Inbox = queue.SimpleQueue[bytes | str | None]  # a message, a line that was typed, or the end of those


class Lesson:
    """Who asks what, and what is answered to whatever is touched or typed. Knows neither port nor terminal."""

    def __init__(
        self, names: Iterable[str], taken: Mapping[str, Trigger], say: Say, keep: Callable[[str, Trigger], None]
    ) -> None:
        """Goes through the names, each once; without any it asks for them. `taken`: what each control is on already."""
        self._names, self._taken = deque(dict.fromkeys(names)), dict(taken)
        self._asks = not self._names
        self._say, self._keep = say, keep
        self._touch = Touch()
        self._name: str | None = None
        self.over = False
        if self._asks:
            say(textwrap.fill(f"to press: {', '.join(BUTTONS)}, {PRESET}NAME", WIDTH))
            say(textwrap.fill(f"knobs: {', '.join(KNOBS)}", WIDTH))
        self._next()

    def hear(self, message: bytes, time_ns: int) -> None:
        """Something was touched."""
        if self._name is None or not wire.is_channel_message(message):
            return
        touched = self._touch.hear(message, time_ns)
        if touched is None:
            return
        if (why := self._refusal(touched)) is not None:
            self._say(f"  {why}")
            return
        self._keep(self._name, touched)
        self._taken[self._name] = touched
        self._say(f"  {self._name} is {touched}")
        self._next()

    def type(self, line: str) -> None:
        """A line was typed: a name, or nothing to go on."""
        if line:
            try:
                self._ask(checked(line))
            except BadInput as error:
                self._say(str(error))
        elif self._name is None:
            self.over = True
        else:
            self._say(f"  {self._name} stays as it is")
            self._next()

    def end_typing(self) -> None:
        """Nobody will type any more."""
        self._asks = False
        self.over = self._name is None

    def help(self, port: str) -> None:
        """Nothing was heard for a while."""
        if self._name is not None:
            self._say(f'  nothing is heard of "{port}" that could be {self._name}; Enter leaves it out, Ctrl-C ends')

    def _next(self) -> None:
        if self._names:
            self._ask(self._names.popleft())
            return
        self._name, self.over = None, not self._asks
        if self._asks:
            self._say("which one? (Enter ends)")

    def _ask(self, name: str) -> None:
        self._name = name
        self._touch.ask(name in KNOBS)
        on = f" (now {self._taken[name]})" if name in self._taken else ""
        self._say(f"{name}{on}: {'turn the knob' if name in KNOBS else 'press the pad, key or pedal'} that is to do it")

    def _refusal(self, touched: Trigger) -> str | None:
        """Why it cannot be that one."""
        if self._name in KNOBS and touched.kind != CONTROLLER:
            return f"{touched} is only pressed; turn a knob"
        if self._name in KNOBS and touched.number == SUSTAIN:
            return "that is the sustain pedal; turn a knob"
        others = (name for name, on in self._taken.items() if name != self._name and on.collides(touched))
        if (other := next(others, None)) is not None:
            return f"{touched} is {other} already; take another one"
        return None


def checked(name: str) -> str:
    """The name of a control. Raises `BadInput`."""
    known = [*BUTTONS, *KNOBS]
    if name in known:
        return name
    if name.startswith(PRESET):
        presets.turns(name.removeprefix(PRESET))
        return name
    near = difflib.get_close_matches(name, known, 1)
    way_out = f"the nearest is {near[0]}" if near else f"there are {', '.join(known)} and {PRESET}NAME"
    raise BadInput(f"{reprlib.repr(name)} is no control; {way_out}")


def learn(settings: Settings, source: Source | None, names: list[str], file: Path | None) -> None:
    """Ask on the terminal until all is learned, or Ctrl-C. `source` is what stands in the file. Raises `BadInput`."""
    for name in names:
        checked(name)
    if file is not None and not file.resolve().parent.is_dir():
        raise BadInput(f"--config {file}: there is no such folder")
    if settings.ports.input is None:
        raise BadInput("--in NAME is missing: the port of the controller (`improv ports` lists them)")
    there = ports.choose(settings.ports.api)
    port_name = ports.match(settings.ports.input, there.inputs, settings.ports.aliases, "input")
    heard: Inbox = queue.SimpleQueue()
    learned: dict[str, Trigger] = {}
    text = source.text if source is not None else ""

    def keep(name: str, on: Trigger) -> None:
        nonlocal text
        learned[name] = on
        try:
            text = written.changed(text, ["controls", *name.split(".", 1)], str(on))
        except ValueError as error:
            raise BadInput(f"{file}: {error}; write `{name}: {on}` under `controls:` yourself") from None
        if file is not None:
            _write(file, text)

    port = ports.Input(there.api, port_name, heard.put, "improv-learn")
    try:
        _say(f'listening to "{port_name}"; Enter leaves one out, Ctrl-C ends')
        lesson = Lesson(names, settings.controls.triggers, _say, keep)
        threading.Thread(target=_type, args=(heard.put,), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            _hold(lesson, heard, port_name)
    finally:
        port.close()
    if learned:
        _say(f"{file} has: {', '.join(learned)}" if file is not None else f"for a file of settings:\n\n{text}")


def _hold(lesson: Lesson, heard: Inbox, port: str) -> None:
    helped = False
    while not lesson.over:
        try:
            item = heard.get(timeout=None if helped else PATIENCE_S)
        except queue.Empty:
            lesson.help(port)
            helped = True
            continue
        helped = False
        if item is None:
            lesson.end_typing()
        elif isinstance(item, str):
            lesson.type(item)
        else:
            lesson.hear(item, now_ns())


def _say(line: str) -> None:
    print(line, flush=True)


def _type(put: Callable[[str | None], None]) -> None:
    """What is typed, line by line; on a thread of its own, which may still wait when all is over."""
    rest = b""
    while data := os.read(sys.stdin.fileno(), LONGEST_LINE):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            put(line.decode(errors="replace").strip())
    put(None)


def _write(file: Path, text: str) -> None:
    file = file.resolve()  # a link stays one
    try:
        whole.write(file, text.encode())
    except OSError as error:
        raise BadInput(f"{file}: it cannot be written ({error.strerror})") from None
