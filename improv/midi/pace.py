"""Sends no longer bursts than a slow receiver can take."""

from __future__ import annotations

import time
from collections.abc import Callable

from improv.clock import now_ns
from improv.music.bucket import Bucket
from improv.music.sweep import BURST, BURST_NS
from improv.music.timeline import NS


def paced(
    send: Callable[[bytes], None],
    clock: Callable[[], int] = now_ns,
    pause: Callable[[float], None] = time.sleep,
) -> Callable[[bytes], None]:
    """`send`, which waits where too much went out just before; `pause` is given seconds."""
    bucket = Bucket(BURST, BURST * NS / BURST_NS)

    def send_in_time(message: bytes) -> None:
        while not bucket.take(clock()):
            pause(BURST_NS / NS)
        send(message)

    return send_in_time
