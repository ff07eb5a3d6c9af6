"""What the player does: what rings, how far his phrase has come, and what that leaves to the machine."""

from __future__ import annotations

from improv.music.company import Company
from improv.music.damper import Damper, Sounding
from improv.music.events import NoteOff, NoteOn, Pedal
from improv.music.musicianship import Musicianship
from improv.music.scale import Scale
from improv.music.tonality import Tonality
from improv.music.turns import Listener, Phrase
from improv.music.zone import Range


class Ear:
    """Gives what begins or ends to sound. Positions are in ticks."""

    def __init__(self, musicianship: Musicianship) -> None:
        belts = musicianship.belts
        self._lowest, self._highest = belts.lowest, belts.highest
        self._damper = Damper()
        self._listener = Listener(musicianship.turns)
        self._company = Company()
        self._range = Range(musicianship.zone)
        self._tonality = Tonality()
        self.active_ns = 0  # when something was last heard

    # What he does

    def note(self, note: NoteOn, position: float) -> list[Sounding]:
        """A note of his phrase."""
        sounding = self.hear(note, position)
        self._listener.note(note.time_ns, note.pitch, self._damper.voices, position)
        self._company.hear(note.time_ns)
        self._range.hear(note.time_ns, note.pitch)
        return sounding

    def hear(self, event: NoteOn | NoteOff | Pedal, position: float) -> list[Sounding]:
        sounding: list[Sounding] = []
        if self._damper.moves(event):
            self.active_ns = event.time_ns
            sounding = self._damper.hear(event)
            self._listener.changed(event.time_ns, self._damper.held, position)
        if isinstance(event, NoteOn):
            self._tonality.note(event.time_ns, event.pitch)
        return sounding

    def resume(self, time_ns: int) -> None:
        """His next note breaks the answer off."""
        self._listener.resume(time_ns)

    def lift(self, time_ns: int, position: float) -> list[Sounding]:
        """All keys and the pedal come up."""
        sounding = self._damper.lift(time_ns)
        self._listener.changed(time_ns, self._damper.held, position)
        return sounding

    def damp(self, time_ns: int) -> list[Sounding]:
        """What rings of what he played before ends; what is down still holds his turn."""
        return self._damper.damp(time_ns)

    def begin_phrase(self, time_ns: int) -> list[Sounding]:
        """What he still holds counts as released: his later note-offs change nothing."""
        self._listener.begin()
        self._company.part()
        return self._damper.waive(time_ns)

    def sit_out(self) -> None:
        """Nobody joins him for the rest of his phrase."""
        if self.phrase is not None:
            self._company.sit_out()

    def wait(self) -> None:
        """What he has played so far of his phrase is no reason to join him."""
        self._company.part()

    def forget(self) -> None:
        """In which key he plays."""
        self._tonality = Tonality()

    # What is known of him

    @property
    def phrase(self) -> Phrase | None:
        """What he has played since it was last over; None: nothing."""
        return self._listener.phrase()

    @property
    def holds(self) -> bool:
        """Whether a key or the pedal is down that he has moved in this phrase."""
        return self._damper.held

    @property
    def brushed(self) -> bool:
        """Whether all of his phrase is a brush of the keys."""
        return self._listener.brushed

    @property
    def chord_until_ns(self) -> int:
        """What he strikes by then may belong to his last chord."""
        return self._listener.chord_until_ns

    @property
    def joins_ns(self) -> int | None:
        """Since when there is enough of his phrase to join him; None: there is not."""
        return self._company.joins_ns

    @property
    def scale(self) -> Scale | None:
        """The one he plays in; None: that is not sure."""
        return self._tonality.scale()

    @property
    def room(self) -> tuple[int, int]:
        """The lowest and the highest pitch that he leaves to the machine."""
        return self._range.left(self._lowest, self._highest)

    def deserves_answer(self, phrase: Phrase) -> bool:
        return self._listener.deserves_answer(phrase)

    def over_ns(self, interrupts: bool = False) -> int | None:
        """When his phrase is over if he plays nothing more (`Listener.deadline`)."""
        return self._listener.deadline(interrupts)
