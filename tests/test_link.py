"""Ableton Link: our beat is the beat of another peer, in another process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from improv.clock import now_ns
from improv.errors import BadInput
from improv.midi import link as link_module
from improv.midi.link import INSTALL, Link
from improv.music.events import Retime

pytestmark = pytest.mark.alone

PEER = Path(__file__).with_name("link_peer.py")
THEIR_BPM = 93.0
OUR_BPM = 120.0
BAR_BEATS = 4
MEET_S = 3.0
APART_MS = 2.0
SOON_NS = 250_000_000
HEAR_S = 0.2  # peers tell each other at most every 50 ms
NO_MULTICAST = "no Ableton Link: peers on this machine do not find each other"


class Peer:
    def __init__(self, bpm: float) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, str(PEER), str(bpm)], stdin=pipe, stdout=pipe, text=True)
        self.met: int = self._answer()["peers"]

    def ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


class Posts:
    """What a Link posted."""

    def __init__(self) -> None:
        self.all: list[Retime] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()

    def __call__(self, retime: Retime) -> None:
        with self._changed:
            self.all.append(retime)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def wait(self, holds: Callable[[Retime], bool], after_ns: int = 0, timeout_s: float = 2.0) -> Retime | None:
        """The first that fits, of those since a moment."""

        def find() -> Retime | None:
            return next((retime for retime in self.all if retime.time_ns > after_ns and holds(retime)), None)

        with self._changed:
            return self._changed.wait_for(find, timeout_s)


class Session(NamedTuple):
    link: Link
    posts: Posts
    peer: Peer
    joined: Retime


def at_tempo(bpm: float) -> Callable[[Retime], bool]:
    return lambda retime: retime.timeline.bpm == pytest.approx(bpm, rel=1e-5)


def others_meet() -> bool:
    """Whether the library's own peers find each other, when one has run for a while and another comes."""
    other = Peer(THEIR_BPM)
    other.close()
    return other.met > 0


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One for all: a peer that has just founded a session, and another that joins it."""
    pytest.importorskip("aalink")
    peer = Peer(THEIR_BPM)
    posts = Posts()
    try:
        if peer.met:
            pytest.skip("no Ableton Link: a session that is not ours is on this network")
        link = Link(OUR_BPM, (4, 4), posts)
        try:
            joined = posts.wait(at_tempo(THEIR_BPM), timeout_s=MEET_S)
            if joined is None and not others_meet():
                pytest.skip(NO_MULTICAST)
            assert joined is not None, "it does not find the peer that another finds"
            yield Session(link, posts, peer, joined)
        finally:
            link.close()
    finally:
        peer.close()


def apart_ms(session: Session) -> float:
    """How far our prediction is from the peer's beat, at worst. Peers share the place in the bar, not its number."""
    beats = session.peer.ask(beats=20)["beats"]
    timeline = session.posts.all[-1].timeline
    half = BAR_BEATS / 2
    apart = [abs((timeline.beat(time_ns) - beat + half) % BAR_BEATS - half) for time_ns, beat in beats]
    return float(max(apart)) * 60_000 / timeline.bpm


def test_it_posts_at_once_and_again_when_it_joins(session: Session) -> None:
    first = session.posts.all[0]
    assert first.jump
    assert first.timeline.metric and session.joined.timeline.metric  # nobody has started or stopped anything
    assert first.timeline.metre == (4, 4) and first.timeline.bar_beat == 0
    assert session.posts.threads == {"link"}


def test_its_beat_is_the_beat_of_the_peer(session: Session) -> None:
    assert apart_ms(session) < APART_MS


def test_a_change_of_tempo_arrives_soon(session: Session) -> None:
    time_ns = session.peer.ask(tempo=101.0)["time_ns"]
    retime = session.posts.wait(at_tempo(101.0), time_ns)
    assert retime is not None and retime.time_ns - time_ns < SOON_NS
    assert not retime.jump
    assert apart_ms(session) < APART_MS


def test_a_beat_that_is_moved_is_noticed_within_a_second_or_so(session: Session) -> None:
    time_ns = session.peer.ask(shift=1.5)["time_ns"]
    assert session.posts.wait(lambda retime: retime.jump, time_ns) is not None
    assert apart_ms(session) < APART_MS


def test_the_beat_stands_still_with_the_transport(session: Session) -> None:
    session.peer.ask(playing=True)
    time.sleep(HEAR_S)  # nothing is posted: the beat counted before
    time_ns = session.peer.ask(playing=False)["time_ns"]
    stopped = session.posts.wait(lambda retime: not retime.timeline.metric, time_ns)
    assert stopped is not None and not stopped.jump
    time_ns = session.peer.ask(playing=True)["time_ns"]
    started = session.posts.wait(lambda retime: retime.timeline.metric, time_ns)
    assert started is not None and started.jump and started.time_ns - time_ns < SOON_NS


def test_once_closed_it_posts_nothing_and_leaves_no_thread(session: Session) -> None:
    threads = threading.active_count()
    posts = Posts()
    link = Link(OUR_BPM, (3, 4), posts)
    assert posts.wait(at_tempo(session.posts.all[-1].timeline.bpm), timeout_s=MEET_S) is not None
    link.close()
    link.close()
    assert threading.active_count() == threads
    posted = len(posts.all)
    time_ns = session.peer.ask(tempo=111.0)["time_ns"]
    assert session.posts.wait(at_tempo(111.0), time_ns) is not None
    assert len(posts.all) == posted


class LoneLink:
    """The library's peer without a network, on a clock that runs at another rate."""

    tempo, playing, num_peers = 120.0, False, 0

    def __init__(self, bpm: float, rate: float) -> None:
        self._rate = rate
        self.set_tempo_callback = self.set_start_stop_callback = self.set_num_peers_callback = lambda _: None

    @property
    def beat(self) -> float:
        return now_ns() * self._rate * self.tempo / 60e9


@pytest.mark.parametrize("rate", [1.0, 1.01])
def test_it_follows_a_clock_that_drifts_and_says_nothing_where_none_does(
    rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aalink", SimpleNamespace(Link=lambda bpm: LoneLink(bpm, rate)))
    monkeypatch.setattr(link_module, "LOOK_EVERY_S", 0.05)
    posts = Posts()
    link = Link(OUR_BPM, (4, 4), posts)
    time.sleep(0.5)
    link.close()
    assert [retime.jump for retime in posts.all[:1]] == [True] and not any(retime.jump for retime in posts.all[1:])
    assert len(posts.all) == 1 if rate == 1.0 else len(posts.all) > 2


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aalink", None)
    with pytest.raises(BadInput, match=f"needs aalink.*{re.escape(INSTALL)}"):
        Link(OUR_BPM, (4, 4), Posts())
