"""What lights and rings show, on the virtual clock."""

from __future__ import annotations

from improv.music import trigger
from improv.music.events import SetMode, Steer
from improv.music.gate import Gate
from improv.music.hands import Hands
from improv.music.lights import RESTS_NS, Lights
from improv.music.steering import Steering

MS = 1_000_000
CALM = [Steer(0, "temperature", 0.8), Steer(0, "density", 0.5)]
AT = {
    "turn": "note 36 on channel 10", "freeze": 20, "temperature": 21, "memory": "cc 22 on channel 16",
    "presets.calm": "note 40", "loop": "program 1", "clock_offset": 23,
}  # fmt: skip


class Desk:
    """A controller: hands on it, and what it shows."""

    def __init__(self) -> None:
        controls = {name: trigger.read(on) for name, on in AT.items()}
        self.hands = Hands(controls, Gate(print), presets={"calm": CALM})
        self.lights = Lights(controls, self.hands.stands, presets={"calm": CALM})
        self.steering = Steering()

    def show(self, *lit: str, at_ms: int = 0) -> list[bytes]:
        return self.lights.show(set(lit), self.steering, at_ms * MS)


def test_at_first_each_knob_shows_where_it_stands_and_what_is_on_is_lit() -> None:
    desk = Desk()
    assert desk.show("turn") == [bytes((0x99, 36, 127)), bytes((0xB0, 21, 61)), bytes((0xBF, 22, 64))]
    assert desk.show("turn") == []
    assert desk.show("freeze", "loop") == [bytes((0x99, 36, 0)), bytes((0xB0, 20, 127))]
    assert desk.show() == [bytes((0xB0, 20, 0))]


def test_all_is_dark_at_the_end_and_knobs_stay() -> None:
    desk = Desk()
    desk.show("turn", "freeze")
    assert set(desk.lights.off()) >= {bytes((0x99, 36, 0)), bytes((0xB0, 20, 0)), bytes((0x90, 40, 0))}
    assert not any(message[:2] in (b"\xb0\x15", b"\xbf\x16", b"\xb0\x17") for message in desk.lights.off())


def test_a_preset_is_lit_while_it_is_in_force_and_turns_the_rings() -> None:
    desk = Desk()
    desk.show()
    desk.steering = Steering(temperature=0.8, density=0.5)
    assert desk.show() == [bytes((0x90, 40, 127)), bytes((0xB0, 21, 53))]
    desk.steering = Steering(temperature=0.8)
    assert desk.show() == [bytes((0x90, 40, 0))]


def test_a_preset_with_a_mode_is_lit_in_that_mode_only() -> None:
    on = {"presets.duo": trigger.read(20), "mode_duet": trigger.read(21)}
    lights = Lights(on, {}, presets={"duo": [SetMode(0, "duet"), Steer(0, "density", 0.5)]})
    assert lights.show({"mode_call"}, Steering(density=0.5), 0) == []
    assert set(lights.show({"mode_duet"}, Steering(density=0.5), 0)) == {bytes((0xB0, n, 127)) for n in (20, 21)}
    assert set(lights.show({"mode_call"}, Steering(), 0)) == {bytes((0xB0, n, 0)) for n in (20, 21)}


def test_a_knob_in_somebodys_hand_is_not_fought() -> None:
    desk = Desk()
    desk.show()
    (turn,) = desk.hands.hear(bytes((0xB0, 21, 100)), 0)
    assert isinstance(turn, Steer)
    desk.steering = Steering(temperature=1.0)  # where it was a moment ago
    assert desk.show(at_ms=RESTS_NS // MS - 1) == []
    desk.steering = Steering(temperature=float(turn.value))
    assert desk.show(at_ms=RESTS_NS // MS) == []  # it stands where it was turned to
    desk.steering = Steering(temperature=0.95)
    assert desk.show(at_ms=RESTS_NS // MS) == [bytes((0xB0, 21, 61))]


def test_weights_that_know_no_style_leave_its_ring_alone() -> None:
    assert Lights({"style": trigger.read(20)}, {}, styles=()).show(set(), Steering(), 0) == [bytes((0xB0, 20, 0))]


def test_without_presets_or_controls_nothing_is_shown() -> None:
    assert Lights({}, {}).show({"turn"}, Steering(), 0) == [] == Lights({}, {}).off()
