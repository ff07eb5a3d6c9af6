"""MIDI ports. The only file that knows the driver (python-rtmidi); imports nothing heavy."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import rtmidi

from improv.errors import BadInput
from improv.hush import hushed

APIS = {
    "alsa": rtmidi.API_LINUX_ALSA,
    "jack": rtmidi.API_UNIX_JACK,
    "coremidi": rtmidi.API_MACOSX_CORE,
    "winmm": rtmidi.API_WINDOWS_MM,
}
OWN_INPUT, OWN_OUTPUT = "improv in", "improv out"
LOOKS = 5  # at a list of ports that changes meanwhile
CALLBACK_S = 0.02  # is enough for what a callback does
# Of each process its own: under a name that another is just giving up JACK refuses to open (seen, rarely).
LOOKING = f"improv-look-{os.getpid()}"
BRIDGES = ("system", "a2j")
CHOICES, REPEATED = re.compile(r"[*+?{|]"), re.compile(r"\)[*+?{]")  # in a pattern: what can be read in many ways
MOST_CHOICES, LONGEST_PATTERN = 3, 100
LOOPMIDI = "Windows has no virtual MIDI ports of its own: make one with loopMIDI and name it with --in or --out"


class PortError(BadInput):
    """A port or MIDI system that is not there; the message says which and what there is instead."""


class Absent(PortError):
    """It may still come: a device that is not plugged in, a server that does not run."""


class Ports(NamedTuple):
    """One MIDI system, open, and the names it knows."""

    api: str
    inputs: list[str]
    outputs: list[str]


def survey() -> list[Ports]:
    """Every MIDI system that is compiled in and opens here, in order of preference."""
    found = []
    for name, api in APIS.items():
        if api in rtmidi.get_compiled_api():
            with contextlib.suppress(PortError):
                found.append(_look(name))
    return found


def _look(api: str) -> Ports:
    looker = _Looker(api)
    try:
        names = looker.names()
        return Ports(api, names["input"], names["output"])
    finally:
        looker.close()


class Looker(Protocol):
    """Looks at the ports of one MIDI system, time and again."""

    @property
    def lives(self) -> bool:
        """Whether the system is still the one that was opened."""
        ...

    def names(self) -> dict[str, list[str]]:
        """Of the `input` and the `output` ports."""
        ...

    def close(self) -> None:
        """To be called before the system is opened anew: a client that is left over stands in JACK's way."""
        ...


def looker(api: str, died: Callable[[], None]) -> Looker:
    """`died` is called on a thread of the driver's when a JACK server ends. Raises PortError where none opens."""
    if api == "jack":
        with contextlib.suppress(ImportError, OSError):  # without JACK's own library an end goes unnoticed
            return _JackLooker(died)
    return _Looker(api)


class _Looker:
    lives = True

    def __init__(self, api: str) -> None:
        self._ports = {"input": _client(rtmidi.MidiIn, api, LOOKING), "output": _client(rtmidi.MidiOut, api, LOOKING)}

    def names(self) -> dict[str, list[str]]:
        with hushed():
            return {side: port.get_ports() for side, port in self._ports.items()}

    def close(self) -> None:
        with hushed():
            for port in self._ports.values():
                port.delete()


class _JackLooker:
    """Through JACK's own library: RtMidi does not hear that a server ends, and goes on listing what was there."""

    def __init__(self, died: Callable[[], None]) -> None:
        import jack

        jack.set_error_function(lambda _: None)
        jack.set_info_function(lambda _: None)
        self.lives = True
        self._died, self._error = died, jack.JackError
        self._new: list[str] = []  # ports that came since the last look; written on a thread of JACK's
        try:
            self._client = jack.Client(LOOKING, no_start_server=True)
        except jack.JackError as error:
            raise PortError(str(error)) from None
        self._client.set_shutdown_callback(self._shut_down)
        self._client.set_port_registration_callback(self._port_changed)
        try:
            self._client.activate()
        except jack.JackError as error:
            self._client.close()
            raise PortError(str(error)) from None
        self._seen = {name for names in self._names().values() for name in names}
        self._early: set[str] = set()  # was seen before JACK told that it came

    def _shut_down(self, *_: object) -> None:
        self.lives = False
        self._died()

    def _port_changed(self, port: Any, there: bool) -> None:
        if port is not None and there:
            self._new.append(port.name)

    def names(self) -> dict[str, list[str]]:
        """Those that others send to are `output`, as RtMidi has it.

        A port that was away since the last look is missing once, though it be back: nothing is connected to it.
        """
        new = {self._new.pop() for _ in range(len(self._new))}
        found = self._names()
        here = {name for names in found.values() for name in names}
        again = (self._seen & new) - self._early
        self._early = here & ((self._early | (here - self._seen)) - new)
        self._seen = here
        return {side: [name for name in names if name not in again] for side, names in found.items()}

    def _names(self) -> dict[str, list[str]]:
        """A port that goes away in the midst of a look is an error: then it looks again."""
        for _ in range(LOOKS - 1):
            with contextlib.suppress(self._error):
                return self._listed()
        return self._listed()

    def _listed(self) -> dict[str, list[str]]:
        found = {
            "input": self._client.get_ports(is_midi=True, is_output=True),
            "output": self._client.get_ports(is_midi=True, is_input=True),
        }
        return {side: [port.name for port in ports] for side, ports in found.items()}

    def close(self) -> None:
        self._client.close()


def choose(api: str) -> Ports:
    """The MIDI system to use: the one named, or with `auto` the first that opens."""
    found = survey()
    if not found:
        raise Absent("no MIDI system opens on this machine; `improv demo` plays without one")
    if api == "auto":
        return found[0]
    for ports in found:
        if ports.api == api:
            return ports
    raise Absent(f"`ports.api` (--api) {api}: it does not open here (what does: {', '.join(p.api for p in found)})")


def match(wanted: str, names: Sequence[str], aliases: Mapping[str, str], side: str) -> str:
    """The port that `wanted` means, ignoring case: exact, else prefix, else substring, else pattern."""
    wanted = {alias.casefold(): name for alias, name in aliases.items()}.get(wanted.casefold(), wanted)
    there = "; ".join(names) or "none"
    if not wanted.strip():  # a part of any name
        raise PortError(f'"{wanted}" is the name of no {side} port; name one ({side} ports here: {there})')
    low = wanted.casefold()
    folded = [name.casefold() for name in names]
    for fits in (low.__eq__, lambda name: name.startswith(low), lambda name: low in name, _pattern(wanted)):
        for name, fold in zip(names, folded, strict=True):
            if fits(fold):
                return name
    raise Absent(f'no {side} port is called "{wanted}" ({side} ports here: {there})')


def _pattern(wanted: str) -> Callable[[str], object]:
    """A pattern may come from somebody else's settings: one that could be tried in too many ways is none."""
    if len(wanted) > LONGEST_PATTERN or len(CHOICES.findall(wanted)) > MOST_CHOICES or REPEATED.search(wanted):
        return lambda name: False
    try:
        return re.compile(wanted, re.IGNORECASE).search
    except (re.error, OverflowError):  # the latter: of too large a count
        return lambda name: False


def found_again(name: str, names: Sequence[str]) -> str | None:
    """The port of that name, or under another number: a driver may count anew when a device is back."""
    if name in names:
        return name
    return next((other for other in names if _numberless(other) == _numberless(name)), None)


def _numberless(name: str) -> str:
    return re.sub(r"\s+\d+$" if sys.platform == "win32" else r"\s+\d+:\d+$", "", name)


def same_device(source: str, sink: str) -> bool:
    """Whether an input and an output are two ends of one device, by their names.

    Drivers label the two ends differently ("piano:out" and "piano:in", on Windows "piano 0" and "piano 1").
    """
    return _device(source) == _device(sink)


def _device(name: str) -> str:
    client, _, port = name.casefold().partition(":")
    if client in BRIDGES and port:  # every device is a port of these clients of JACK
        return client + re.sub(r"(capture|playback)", "", port)
    if sys.platform == "win32":
        client = _numberless(client)
    return re.sub(r"[\s_-]*\b(in|out|input|output)$", "", client).strip()


class Input:
    """An open input. `heard(message)` is called on the driver's thread for each message."""

    def __init__(
        self,
        api: str,
        name: str | None,
        heard: Callable[[bytes], None],
        client: str = "improv-in",
        clock: bool = False,
    ) -> None:
        """Open the port `name`, or a virtual one where it is None; `clock`: its ticks are heard as well."""
        self._port = _client(rtmidi.MidiIn, api, client)
        self._port.ignore_types(sysex=True, timing=not clock, active_sense=True)
        self._port.set_callback(lambda event, _: heard(bytes(event[0])))
        self.name = _open(self._port, name, OWN_INPUT)

    def close(self) -> None:
        # The callback goes first, and one that is under way gets the time to end: RtMidi waits for the driver's
        # thread, and that for the interpreter, which is not let go meanwhile. It is kept for so long: python-rtmidi 1.5
        # lets go of it at once, and the driver's thread would call what is no more.
        called = gc.get_referents(self._port)
        self._port.cancel_callback()
        time.sleep(CALLBACK_S)
        del called
        with hushed():
            self._port.close_port()
            self._port.delete()


class Output:
    """An open output."""

    def __init__(self, api: str, name: str | None, client: str = "improv-out", own: str = OWN_OUTPUT) -> None:
        """Open the port `name`, or a virtual one where it is None; `own` is the name of this end."""
        self._port = _client(rtmidi.MidiOut, api, client)
        self.name = _open(self._port, name, own)

    def send(self, message: bytes) -> None:
        self._port.send_message(message)

    def close(self) -> None:
        self._port.close_port()
        self._port.delete()


def _client(kind: type, api: str, name: str) -> Any:
    with hushed():
        try:
            return kind(APIS[api], name=name)
        except rtmidi.SystemError:
            raise PortError(f"{api} does not open here") from None


def _open(port: rtmidi.MidiIn | rtmidi.MidiOut, name: str | None, virtual: str) -> str:
    """Raises PortError, and leaves nothing open then."""
    try:
        with hushed():
            if name is None:
                if sys.platform == "win32":
                    raise PortError(LOOPMIDI)
                port.open_virtual_port(virtual)
                return virtual
            names = port.get_ports()
            if name not in names:
                raise PortError(f'the port "{name}" went away before it could be opened')
            port.open_port(names.index(name), name=virtual)
            return name
    except rtmidi.RtMidiError as error:
        port.delete()
        raise PortError(f'the port "{name or virtual}" does not open ({error})') from None
    except PortError:
        port.delete()
        raise
