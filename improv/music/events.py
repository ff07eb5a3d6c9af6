"""The events that pass between player, engine and outlet.

Every `time_ns` is absolute monotonic time in integer nanoseconds: the moment a heard event
arrived, or the moment a played one is due.
"""

from __future__ import annotations

from typing import NamedTuple

from improv.music.steering import Value
from improv.music.timeline import Timeline


class NoteOn(NamedTuple):
    time_ns: int
    pitch: int
    velocity: int


class NoteOff(NamedTuple):
    time_ns: int
    pitch: int


class Pedal(NamedTuple):
    """The sustain pedal, down or up."""

    time_ns: int
    down: bool


class Ask(NamedTuple):
    """The player asks for an answer now, or stops the one that is playing.

    The answer ends after `length_ns` or `notes`, to the letter; or it is about as long as
    `like_ns`, and breathes; without any of them it is about as long as the phrase.
    """

    time_ns: int
    length_ns: int | None = None
    notes: int | None = None
    like_ns: int | None = None


class Retime(NamedTuple):
    """From this moment on, beats are counted on another timeline.

    Its beats go on from those before, except at a `jump`: there the song begins anew or goes on elsewhere.
    """

    time_ns: int
    timeline: Timeline
    jump: bool = False


class Tick(NamedTuple):
    """A tick of a MIDI clock: 24 of them make a quarter note."""

    time_ns: int


class Start(NamedTuple):
    """The master plays from the top: its next tick is the first beat."""

    time_ns: int


class Stop(NamedTuple):
    """The master stands still."""

    time_ns: int


class Continue(NamedTuple):
    """The master plays on from where it stands: its next tick is that position."""

    time_ns: int


class SongPosition(NamedTuple):
    """Where the master will go on from, in sixteenth notes from the top of the song."""

    time_ns: int
    sixteenths: int


class Tap(NamedTuple):
    """The player taps the beat."""

    time_ns: int


class Transport(NamedTuple):
    """The player lets the internal clock stand still, or run on from there."""

    time_ns: int


class ClockOffset(NamedTuple):
    """From now on the beat is taken to be so much later than the clock says; below 0, earlier."""

    time_ns: int
    offset_ns: int


class OutLatency(NamedTuple):
    """From now on everything is sent so much before its time."""

    time_ns: int
    latency_ns: int


class Steer(NamedTuple):
    """A knob is turned: from now on it stands at that value (`steering.turned`)."""

    time_ns: int
    knob: str
    value: Value


class Mark(NamedTuple):
    """The player found the last exchange, a phrase of his and the answer, good or bad. Until he has played the next."""

    time_ns: int
    good: bool


class SetMode(NamedTuple):
    """From now on turns are taken that way: one of `turns.MODES`."""

    time_ns: int
    mode: str


class Halt(NamedTuple):
    """The machine stops. It comes in again after the player's next phrase, or when it is asked to."""

    time_ns: int


class Mute(NamedTuple):
    """The machine falls silent at the next bar line, or now where there is none; at the next one of these it may play
    again.
    """

    time_ns: int


class Late(NamedTuple):
    """A note was `late_ns` late, of the answer that was decided at `turn_ns`. The rest of that answer sounds
    `shift_ns` later, or it is `ended`."""

    time_ns: int
    turn_ns: int
    late_ns: int
    shift_ns: int
    thinned: int  # inner notes of chords that were left out
    ended: bool


class FreeWheel(NamedTuple):
    """The ticks of the clock stay away (`lost`) and the beat goes on without them, or they are back."""

    time_ns: int
    lost: bool


class InputLost(NamedTuple):
    """The input went away: nothing it held is held any more."""

    time_ns: int


class Panic(NamedTuple):
    """The player wants silence, whatever is wrong: nothing is played or held any more. The beat goes on."""

    time_ns: int


class AnotherTake(NamedTuple):
    """The player wants another answer in the place of the last one, which never was."""

    time_ns: int


class LoopThat(NamedTuple):
    """The last answer is to be played again and again; or no longer."""

    time_ns: int


class VaryThat(NamedTuple):
    """The player wants another answer that varies the last one."""

    time_ns: int


class Undo(NamedTuple):
    """The last answer never was; after that, what the player had played before it; and so on, backwards."""

    time_ns: int


class ForgetMe(NamedTuple):
    """Nothing that was played is known any more."""

    time_ns: int


class Freeze(NamedTuple):
    """What is known now stays as it is, whatever is played; or no longer."""

    time_ns: int


class Yield(NamedTuple):
    """Sent by the engine: drop what is planned after this moment; what sounds ends in so much time, or as planned."""

    time_ns: int
    release_ns: int = 0


class Revise(NamedTuple):
    """Sent by the engine: drop what is planned after this moment, by the plan; it is planned anew. What sounds goes on,
    and what is late is as late as before.
    """

    time_ns: int


class TurnBegins(NamedTuple):
    """Sent by the engine: an answer, decided at that moment, begins; how late the one before was no longer counts.

    It is an answer to the player, or is played `beside` him.
    """

    time_ns: int
    beside: bool = False


Clock = Tick | Start | Stop | Continue | SongPosition
Beat = Clock | Tap | Transport | ClockOffset | Retime
Take = AnotherTake | LoopThat | VaryThat | Undo | ForgetMe | Freeze
Pressed = Ask | Panic | SetMode | Halt | Mute | Mark | Take
Heard = NoteOn | NoteOff | Pedal | InputLost | Pressed | Steer | Beat | OutLatency | Late
Played = NoteOn | NoteOff | Yield | Revise | TurnBegins | Retime | OutLatency | FreeWheel
