"""Twenty thousand of the examples of `make fuzz`, the same ones each time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import fuzz

EXAMPLES, DICE = 20_000, 0


def test_whatever_comes_is_heard_or_refused() -> None:
    """In a process of its own: what it leaves behind is measured, and other tests leave much."""
    made = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", str(EXAMPLES), str(DICE)], capture_output=True, text=True, timeout=600
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "nothing got through" in made.stdout


def test_the_targets_share_all_examples() -> None:
    assert sum(target.share for target in fuzz.TARGETS) == pytest.approx(1)
