"""What is on, by the names of the controls that say so."""

from __future__ import annotations

from improv.engine import Engine
from improv.music.hands import MODE


def on(engine: Engine) -> set[str]:
    """Where turns, mute, loop and freeze stand, and the mode."""
    named = {"turn": engine.playing, "mute": engine.muted, "loop": engine.looping, "freeze": engine.freezing}
    return {name for name, is_on in named.items() if is_on} | {MODE + engine.mode}
