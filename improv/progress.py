"""A progress bar for work that turns out to take long."""

from __future__ import annotations

import time
from typing import Any

PATIENCE_S = 2.0


class Progress:
    """Appears on the terminal once the work has taken more than two seconds."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._bar: Any = None

    def __enter__(self) -> Progress:
        self._began = time.monotonic()
        return self

    def step(self, share: float | None = None) -> None:
        """So much is done, if that is known."""
        if self._bar is None and time.monotonic() - self._began > PATIENCE_S:
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._doing, total=None if share is None else 1.0)
        if self._bar is not None and share is not None:
            self._bar.update(self._task, completed=share)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
