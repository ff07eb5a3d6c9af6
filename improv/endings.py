"""The signals that end a session in good order."""

from __future__ import annotations

import signal

_NAMES = "SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"  # Windows lacks two of them


def endings() -> list[int]:
    """Their numbers. A SIGHUP that is ignored (`nohup`) stays so; a SIGINT, as it is in what a shell starts with `&`,
    does not.
    """
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    hung_up = getattr(signal, "SIGHUP", None)
    return [number for number in numbers if number != hung_up or signal.getsignal(number) != signal.SIG_IGN]
