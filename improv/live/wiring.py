"""Which ports the settings mean, found and checked at the door."""

from __future__ import annotations

import sys
from typing import NamedTuple

from improv.config import Settings
from improv.live.snapshot import Bill
from improv.midi import ports


class Wiring(NamedTuple):
    """Which ports, found and checked; None stands for a virtual one."""

    api: str
    source: str | None
    sink: str | None
    builtin: bool
    thru: bool
    clock: str | None = None  # an input of its own for the clock
    lights: str | None = None  # an output for the lights of the controls

    @property
    def said_source(self) -> str:
        return f'the input "{self.source}"' if self.source is not None else "its own input"

    @property
    def said_sink(self) -> str:
        if self.builtin:
            return "the built-in synthesiser"
        return f'the output "{self.sink}"' if self.sink is not None else "its own output"

    def bill(self, settings: Settings, weights: str) -> Bill:
        source = self.source or ports.OWN_INPUT
        sink = "builtin" if self.builtin else self.sink or ports.OWN_OUTPUT
        return Bill(source, f"{sink} ch {settings.channels.output}", weights)

    def describe(self, settings: Settings, weights: str) -> str:
        source = f'"{self.source}"' if self.source else f'its own port "{ports.OWN_INPUT}"'
        sink = f'"{self.sink}"' if self.sink else f'its own port "{ports.OWN_OUTPUT}"'
        sink = "the built-in synthesiser" if self.builtin else sink
        thru = f"on channel {settings.channels.thru}" if self.thru else "off"
        how = ", ".join([self.api, f"thru {thru}", f"weights {weights}", self._beat(settings), *_in_time(settings)])
        return f"listening to {source}, playing on {sink}, channel {settings.channels.output} ({how})"

    def _beat(self, settings: Settings) -> str:
        if settings.beat.clock == "link":
            return "beat by Link"
        if settings.beat.clock == "midi":
            port = f'"{self.clock}"' if self.clock is not None else "the same port"
            return f"beat by the clock of {port} from its Start on"
        if settings.bpm is not None:
            return f"{settings.bpm:g} bpm from the first note"
        return "time is free" if settings.controls.tap is None else "time is free until it is tapped"


def _in_time(settings: Settings) -> list[str]:
    """What it does with a beat."""
    beat, bars = settings.beat, "bar" if settings.bars == 1 else "bars"
    modes = {"trade": [f"trading {settings.bars} {bars}"], "duet": ["beside you"], "continue": ["until it is stopped"]}
    said = modes.get(settings.mode, [])
    said += ["clock out"] if beat.clock_out else []
    return [*said, f"click on channel {settings.channels.click}"] if beat.click else said


def find_ports(settings: Settings) -> Wiring:
    """Match the names to what is there. Raises `ports.PortError`."""
    wanted = settings.ports
    if sys.platform == "win32" and wanted.virtual:
        raise ports.PortError(f"`ports.virtual` (--virtual): {ports.LOOPMIDI}")
    there = ports.choose(wanted.api)
    builtin = (wanted.output or "").casefold() == "builtin"
    missing = [flag for flag, name in (("--in", wanted.input), ("--out", wanted.output)) if name is None]
    if missing and not wanted.virtual:
        names = "; ".join(there.inputs if missing[0] == "--in" else there.outputs) or "none"
        raise ports.PortError(f"{missing[0]} NAME is missing, or --virtual for a port of its own (ports here: {names})")
    source = None if wanted.input is None else ports.match(wanted.input, there.inputs, wanted.aliases, "input")
    sink = None
    if wanted.output is not None and not builtin:
        sink = ports.match(wanted.output, there.outputs, wanted.aliases, "output")
    one_device = source is not None and sink is not None and ports.same_device(source, sink)
    if settings.thru and one_device:
        raise ports.PortError(f'--thru: "{source}" and "{sink}" are one device, which sounds its own keys already')
    thru = settings.thru if settings.thru is not None else (builtin or wanted.virtual) and not one_device
    clock = None
    if wanted.clock is not None:
        clock = ports.match(wanted.clock, there.inputs, wanted.aliases, "input")
    if settings.beat.clock_out and builtin:
        raise ports.PortError(
            "`beat.clock_out` (--clock-out): the built-in synthesiser takes no clock; name a port with --out"
        )
    master = (clock or source) if settings.beat.clock == "midi" else None
    if settings.beat.clock_out and master is not None and sink is not None and ports.same_device(master, sink):
        raise ports.PortError(f'--clock-out: "{sink}" gives the clock itself; leave it out, or name another --out')
    lights = None
    if wanted.lights is not None:
        lights = ports.match(wanted.lights, there.outputs, wanted.aliases, "output")
    return Wiring(there.api, source, sink, builtin, thru, clock, lights)
