"""What holds for all tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run side by side (`make test`), those on real ports come one after the other: they keep time."""
    for item in items:
        if item.get_closest_marker("jack") is not None:
            item.add_marker(pytest.mark.xdist_group("ports"))
