"""Twenty thousand of the examples of `make fuzz`, the same ones each time."""

from __future__ import annotations

import math

import pytest

from tests import fuzz

EXAMPLES = 20_000


@pytest.mark.parametrize("target", fuzz.TARGETS, ids=[target.name for target in fuzz.TARGETS])
def test_whatever_comes_is_heard_or_refused(target: fuzz.Target) -> None:
    wanted = math.ceil(target.share * EXAMPLES)
    assert fuzz.run(target, wanted, dice=0) >= wanted


def test_the_targets_share_all_examples() -> None:
    assert sum(target.share for target in fuzz.TARGETS) == pytest.approx(1)
