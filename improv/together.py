"""Which settings do not go together, though each is good by itself."""

from __future__ import annotations

from itertools import combinations

from improv.config import BadSetting, ControlSettings, Settings, named

BY_HAND = ("tap", "transport")  # controls of the internal clock
MASTERS = {"midi": "the master", "link": "the session"}


def check_together(settings: Settings) -> None:
    """Refuse settings that are good one by one, but not together. Raises `BadSetting`."""
    _check_beat(settings)
    _check_zone(settings)
    _check_controls(settings.controls)


def _check_beat(settings: Settings) -> None:
    """Whether there is one source of the beat, and no more."""
    clock, controls = settings.beat.clock, settings.controls
    if clock == "midi" and settings.bpm is not None:
        raise BadSetting(
            f"{named('bpm')}: with {named('beat.clock')} midi the master gives the tempo; leave one of them out"
        )
    if clock != "midi" and settings.ports.clock is not None:
        raise BadSetting(
            f"{named('ports.clock')} is the port of a MIDI clock; give --clock midi as well, or leave it out"
        )
    for name in BY_HAND:
        if clock != "internal" and getattr(controls, name) is not None:
            raise BadSetting(
                f"{named(f'controls.{name}')}: with {named('beat.clock')} {clock} {MASTERS[clock]} gives the beat; "
                "leave one of them out"
            )
    if clock == "internal" and settings.bpm is None and controls.tap is None:
        _refuse_what_needs_a_beat(settings)


def _refuse_what_needs_a_beat(settings: Settings) -> None:
    needs = {
        f"{named('mode')} trade": settings.mode == "trade",
        named("beat.clock_out"): settings.beat.clock_out,
        named("beat.click"): settings.beat.click,
    }
    for what, is_set in needs.items():
        if is_set:
            raise BadSetting(f"{what} needs a beat: give --bpm, --tap-cc, or --clock midi or link")
    if settings.controls.transport is not None:
        raise BadSetting(f"{named('controls.transport')} needs a beat that it can stop: give --bpm or --tap-cc")


def _check_zone(settings: Settings) -> None:
    """Whether the belts leave it any pitch to play beside the player."""
    side, split, belts = settings.zone.side, settings.zone.split, settings.belts
    if split is None or side not in ("below", "above"):
        return
    if (split <= belts.lowest) if side == "below" else (split > belts.highest):
        raise BadSetting(
            f"`zone.split` is {split}, and there is nothing {side} it from `belts.lowest` ({belts.lowest}) to "
            f"`belts.highest` ({belts.highest}); change one of them"
        )


def _check_controls(controls: ControlSettings) -> None:
    for (name, on), (other, other_on) in combinations(controls.triggers.items(), 2):
        if on.collides(other_on):
            both = f"{named(f'controls.{name}')} and {named(f'controls.{other}')}"
            where = f"both {on}" if on == other_on else f"{on} and {other_on}, which can be the same"
            raise BadSetting(f"{both} are {where}; give each one of its own")
