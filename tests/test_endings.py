"""The signals that end a session."""

from __future__ import annotations

import os
import signal

import pytest

from improv.endings import endings


@pytest.mark.skipif(os.name != "posix", reason="has no SIGHUP")
def test_of_ignored_signals_only_the_one_of_a_closing_terminal_stays_so() -> None:
    numbers = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        assert set(endings()) == {signal.SIGTERM, *numbers}
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        assert set(endings()) == {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
