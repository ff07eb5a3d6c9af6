"""The patchbay, told what happened to a port: no port, no process."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from improv.live import patchbay
from improv.live.patchbay import Broken, Patchbay, Plug
from improv.midi.ports import PortError
from improv.midi.watch import Change, Watched

GONE, THERE, BROKEN = Change(0, False, "Synth"), Change(0, True, "Synth 20:0"), Broken(0)


class NoWatch:
    def __init__(self, *_: object) -> None:
        pass

    def miss(self, number: int) -> None:
        pass

    def close(self) -> None:
        pass


def done(news: Sequence[Change | Broken], monkeypatch: pytest.MonkeyPatch, fails: int = 0) -> list[str | None]:
    """What is done for news that came while it was busy: names that are opened, and None where it is closed."""
    acts, is_open, bay = list[str | None](), [True], Patchbay()
    monkeypatch.setattr(patchbay, "Watch", NoWatch)

    def plug(name: str | None) -> None:
        assert not is_open[0], "it is open already"
        acts.append(name)
        if acts.count(name) <= fails:
            raise PortError("it is not ready")
        is_open[0] = True

    def unplug() -> None:
        acts.append(None)
        is_open[0] = False

    for one in news:
        bay._news.put(one)
    bay.mind("jack", [Plug(Watched("output", "Synth"), 'the output "Synth"', unplug, plug)])
    bay.close()
    return acts


def test_what_goes_away_is_closed_and_opened_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert done([GONE, THERE, GONE, THERE], monkeypatch) == [None, "Synth 20:0"] * 2


def test_what_broke_off_as_its_port_went_away_is_not_opened_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert done([GONE, BROKEN, THERE], monkeypatch) == [None, None, "Synth"]


def test_what_did_not_open_is_opened_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert done([GONE, BROKEN, THERE], monkeypatch, fails=1)[:3] == [None, None, "Synth"]
    assert done([BROKEN, THERE, THERE], monkeypatch, fails=1) == [None, "Synth", "Synth 20:0", "Synth 20:0"]
