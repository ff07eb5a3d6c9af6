"""Whether what goes out comes back in, over a cable or through other programs; then it is not the player's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from improv.music.events import Late, NoteOff, NoteOn, Revise, Yield
from improv.music.latest import PREFIX
from improv.music.outgoing import Gone
from improv.music.pulse import DOWNBEAT, UPBEAT
from improv.music.schedule import CONTROL, HALF, NOTE_OFF, NOTE_ON, is_note_off, is_note_on, is_pedal

WINDOW_NS = 300_000_000  # what comes back does so within this time
UNDER_WAY_NS = 20_000_000  # what is taken back so shortly before its time may have gone out all the same
ENOUGH = 2  # copies in a row are a loop,
TOO_MANY = 4  # and so many missing in a row are none
SUSPECT, MOST = 4, 256  # copies of what the player himself may have played twice: from then on he is not believed alone
KEPT = 8  # notes of a pitch whose ends may still come back


@dataclass(eq=False)
class _Copy:
    """Something that went out, and may come back."""

    what: bytes  # the message, on channel 1
    due_ns: int
    telling: bool  # nobody else would play it
    came: bool = False  # or is not expected any more
    kept_out_on: int | None = None  # the channel on which it came
    ends_ns: int | None = None  # of a note: when its end goes out

    def ended_before(self, time_ns: int) -> bool:
        """Whether its end may come back then."""
        return self.ends_ns is not None and self.ends_ns - UNDER_WAY_NS <= time_ns <= self.ends_ns + WINDOW_NS


class Echo:
    """Matches what is heard with what went out: the same note or value, on whatever channel, each at most once.

    A loop is believed in after evidence that a player does not give: copies of what the machine made up.
    Before that nothing is kept out, whatever he plays. Notes that are sent on for him are no evidence, for he
    may well repeat them; where they keep coming back, a message that does nothing is sent along, as a question.
    """

    def __init__(self, say: Callable[[str], None], clicks: bool = False) -> None:
        """`say` is told, in a sentence, when there is a loop for the first time; `clicks`: a click goes out as well."""
        self._say = say
        self._clicks = {bytes((NOTE_ON, *click)) for click in (DOWNBEAT, UPBEAT)} if clicks else set()
        self._out: dict[bytes, deque[_Copy]] = {}
        self._order: deque[_Copy] = deque()
        self._notes: dict[int, deque[_Copy]] = {}  # by pitch: where their ends are looked up
        self._pedals: set[int] = set()  # channels on which one that went down was kept out
        self._evidence = self._missing = 0
        self._repeats, self._suspect = 0, SUSPECT
        self._question: _Copy | None = None  # that is not answered yet
        self._was_answered = False
        self.believed = self._said = False
        self.kept_out = 0

    def tell(self, event: Gone) -> None:
        """What the machine plays, takes back or moves, and when that goes out."""
        match event:
            case NoteOn(time_ns, pitch, velocity):
                self.went(bytes((NOTE_ON, pitch, velocity)), time_ns, telling=True)
            case NoteOff(time_ns, pitch):
                self.went(bytes((NOTE_OFF, pitch, 0)), time_ns, telling=True)
            case Yield(time_ns):
                self._take_back(time_ns, ends_ns=time_ns)
            case Revise(time_ns):
                self._take_back(time_ns, ends_ns=None)
            case Late(shift_ns=shift_ns):
                for copy in self._order:
                    copy.due_ns += shift_ns * copy.telling

    def went(self, message: bytes, due_ns: int, telling: bool = False) -> _Copy | None:
        """Something goes out at that time; `telling`: the machine made it up."""
        if is_note_off(message):
            for note in reversed(self._notes.get(message[1], ())):
                if note.ends_ns is None and note.telling == telling:
                    note.ends_ns = due_ns
                    break
            return None
        copy = _Copy(_on_any_channel(message), due_ns, telling)
        self._out.setdefault(copy.what, deque()).append(copy)
        self._order.append(copy)
        if is_note_on(message):
            self._notes.setdefault(message[1], deque(maxlen=KEPT)).append(copy)
        return copy

    def _take_back(self, time_ns: int, ends_ns: int | None) -> None:
        """What was to go out later does not; what sounds ends, or goes on for who knows how long."""
        for notes in self._notes.values():
            for note in notes:
                if note.telling and (note.ends_ns is None or note.ends_ns > time_ns):
                    note.ends_ns = ends_ns
        for copy in self._order:
            if copy.telling and copy.due_ns > time_ns and copy is not self._question:
                copy.telling = False
                if copy.due_ns > time_ns + UNDER_WAY_NS and not copy.came:
                    self._expect_no_more(copy)

    def returns(self, message: bytes, time_ns: int, ends: bool = False) -> bool:
        """Whether a heard message is one that came back, and is to be kept out; `ends`: something that was heard."""
        self.expire(time_ns)
        if is_note_off(message):
            return self._end_returns(message, time_ns)
        what = _on_any_channel(message)
        copies = [copy for copy in self._out.get(what, ()) if time_ns <= copy.due_ns + WINDOW_NS]
        copy = next((copy for copy in copies if not copy.telling), copies[0] if copies else None)
        if copy is None:
            return self.believed and what in self._clicks
        self._expect_no_more(copy)
        asked = copy is self._question
        if copy.telling:
            self._came_back(asked)
        else:
            self._repeats += 1
        if not self.believed or asked:
            return asked
        copy.kept_out_on = message[0] & 0x0F
        self.kept_out += 1
        return not is_pedal(message) or self._pedal_returns(message, ends)

    def _pedal_returns(self, message: bytes, ends: bool) -> bool:
        """Where its going down was heard, its coming up is heard as well."""
        channel = message[0] & 0x0F
        if message[2] >= HALF:
            self._pedals.add(channel)
            return True
        kept_out = channel in self._pedals
        self._pedals.discard(channel)
        return kept_out or not ends

    def _end_returns(self, message: bytes, time_ns: int) -> bool:
        notes = self._notes.get(message[1], deque())
        for note in notes:
            if note.kept_out_on == message[0] & 0x0F and note.ended_before(time_ns):
                notes.remove(note)
                return True
        return False

    def question(self, time_ns: int) -> bytes | None:
        """To be sent on now, where it is in doubt who plays: the prefix of a velocity, with an arbitrary value."""
        if self._question is not None or self._repeats < self._suspect:
            return None
        message = bytes((CONTROL, PREFIX, time_ns // 1000 % 128))
        self._question = self.went(message, time_ns, telling=True)
        return message

    def _came_back(self, asked: bool) -> None:
        self._evidence, self._missing = self._evidence + 1, 0
        if asked:
            self._question, self._was_answered = None, True
        if self._evidence >= ENOUGH and not self.believed:
            self.believed = True
            if not self._said:
                self._say("what it plays comes back on its input; it is not heard as yours")
            self._said = True
        if self.believed:
            self._repeats, self._suspect = 0, SUSPECT

    def _is_missing(self, asked: bool) -> None:
        self._evidence = 0
        if asked:
            self._question, self._repeats = None, 0
            self._suspect = SUSPECT if self.believed else min(2 * self._suspect, MOST)
        if self._was_answered or not asked:  # not every loop lets a question through
            self._missing += 1
            if self._missing >= TOO_MANY:
                self.believed = False
                self._pedals.clear()

    def expire(self, time_ns: int) -> None:
        """What has not come back by then will not."""
        while self._order and self._order[0].due_ns + WINDOW_NS < time_ns:
            copy = self._order.popleft()
            if copy.came:
                continue
            self._expect_no_more(copy)
            if copy.telling:
                self._is_missing(copy is self._question)

    def _expect_no_more(self, copy: _Copy) -> None:
        copy.came = True
        copies = self._out[copy.what]
        copies.remove(copy)
        if not copies:
            del self._out[copy.what]

    def lines(self) -> list[str]:
        """What was kept out, in words."""
        return [f"came back on the input: {self.kept_out} messages, not heard as yours"] if self.kept_out else []


def _on_any_channel(message: bytes) -> bytes:
    return bytes((message[0] & 0xF0,)) + message[1:]
