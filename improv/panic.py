"""Silence on a port, without a session."""

from __future__ import annotations

import time

from improv.midi import ports
from improv.midi.outlet import DRAIN_S
from improv.midi.pace import paced
from improv.music.sweep import everything_off


def silence(api: str, name: str) -> str:
    """End every note there may be; give the whole name of the port. Raises `ports.PortError`."""
    there = ports.choose(api)
    output = ports.Output(there.api, ports.match(name, there.outputs, {}, "output"))
    send = paced(output.send)
    for message in everything_off():
        send(message)
    time.sleep(DRAIN_S)
    output.close()
    return output.name
