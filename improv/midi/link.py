"""Ableton Link: the beat that programs on one network share."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from improv.clock import now_ns
from improv.errors import BadInput
from improv.music.events import Retime
from improv.music.timeline import Timeline

LOOK_EVERY_S = 1.0
STEADY_S = 0.2e-3  # a prediction that is wrong by less is left as it is
JUMP_BEATS = 0.1  # more than a change of tempo moves the beat before word of it arrives
LOOKS = 5  # at the clock, of which the quickest counts
INSTALL = 'pip install -e ".[link]"'


class Link:
    """A peer of an Ableton Link session; posts a Retime whenever the session's beat changes.

    It leaves the tempo of a session that is there already as it is; `bpm` is for one that it founds.
    """

    def __init__(self, bpm: float, metre: tuple[int, int], post: Callable[[Retime], None]) -> None:
        """Posts from a thread of its own, the first time at once. Raises `BadInput` without the library."""
        try:
            import aalink  # an extra
        except ImportError as error:
            raise BadInput(f"Ableton Link needs aalink ({error}): {INSTALL}, in improv's own folder") from error
        self._post = post
        self._timeline = Timeline(metre=metre)  # without a beat: what the first look finds is always news
        self._has_transport = False  # a peer was seen to play
        self._closing = False
        self._changed = asyncio.Event()
        # Not the system's own kind of loop, which on Windows would take the main thread's signals.
        self._loop = asyncio.SelectorEventLoop()
        self._link = self._loop.run_until_complete(self._join(aalink, bpm))
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the session; nothing is posted after this."""
        with contextlib.suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(self._leave)
        self._thread.join()

    async def _join(self, aalink: Any, bpm: float) -> Any:
        link = aalink.Link(bpm)  # keeps the running loop, to call back on its thread
        link.quantum = self._timeline.bar_beats
        link.start_stop_sync_enabled = True
        # None of these may hold the link: the library does not see such a circle, and it would never be freed.
        changed = self._changed
        for on_change in (link.set_tempo_callback, link.set_start_stop_callback, link.set_num_peers_callback):
            on_change(lambda _: changed.set())
        link.enabled = True
        return link

    def _run(self) -> None:
        self._loop.run_until_complete(self._follow())
        del self._link  # says goodbye to the peers and ends the library's threads
        self._loop.close()

    async def _follow(self) -> None:
        while not self._closing:
            self._changed.clear()
            self._look()
            # No callback tells of a beat that was moved, nor of clocks that drift apart: hence one look a second.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_EVERY_S)

    def _leave(self) -> None:
        self._closing = True
        self._changed.set()

    def _look(self) -> None:
        """Post the session's beat if the last one posted does not say it."""
        before = self._timeline
        time_ns, beat = self._now()
        bpm = 60e6 / round(60e6 / self._link.tempo)  # Link counts whole microseconds to a beat
        now = before._replace(bpm=bpm, origin_ns=time_ns, origin_beat=beat, metric=self._counts())
        moved_beats = abs(beat - before.beat(time_ns))
        if moved_beats * 60 / bpm < STEADY_S and (bpm, now.metric) == (before.bpm, before.metric):
            return
        started = now.metric and not before.metric
        self._timeline = now
        self._post(Retime(time_ns, now, jump=started or moved_beats > JUMP_BEATS))

    def _now(self) -> tuple[int, float]:
        """A moment and its beat. Link's clock is not ours, and a busy machine may hold a thread up in between."""

        def look() -> tuple[int, int, float]:
            before = now_ns()
            beat: float = self._link.beat
            after = now_ns()
            return after - before, (before + after) // 2, beat

        _, time_ns, beat = min(look() for _ in range(LOOKS))
        return time_ns, beat

    def _counts(self) -> bool:
        """Whether the beat counts: unless a peer that was seen to play has stopped.

        Link does not tell a session that was stopped before we came from one without start/stop sync.
        """
        playing: bool = self._link.playing
        self._has_transport = self._link.num_peers > 0 and (self._has_transport or playing)
        return playing or not self._has_transport
