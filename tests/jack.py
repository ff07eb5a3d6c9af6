"""A JACK server of one's own, the daemon on it, and a handle on the observer, for tests and the bench."""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn, TypeVar

import pytest

from tests.observer import Sound, Stamped, sound

RATE = 48000
PERIOD = 64  # frames; for measuring
LONG_PERIOD = 256  # for tests
NAMES = 6  # of the eight servers that JACK can know
PPQN = 24  # ticks of a MIDI clock in a quarter note
ROOT = Path(__file__).parent.parent
OBSERVER = Path(__file__).with_name("observer.py")
REQUIRED = "IMPROV_REQUIRE_PORTS"  # set: real ports that do not open are a failure, not a skip

Env = dict[str, str]
Phrase = Sequence[tuple[float, Sequence[int]]]
Self = TypeVar("Self", bound="_Helper")


class NoJack(Exception):
    """JACK cannot be had here; the message says why."""


class _Ended(NoJack):
    """The server did not stay: one of its name may run that somebody left behind."""


@contextlib.contextmanager
def server(period: int = PERIOD, *, patient: bool = False) -> Iterator[Env]:
    """A private jackd without hardware; gives the environment that points a program to it. Raises NoJack.

    A patient one waits for its clients in each period; else one that is late loses the messages of that period, which
    docs/reliability.md counts.
    It takes one of a few names that no other run uses now: JACK knows at most eight servers, and one whose clients
    were killed may end without signing off; only a server of the same name takes its place.
    """
    if shutil.which("jackd") is None:
        raise NoJack("jackd is not installed (Debian and Ubuntu: apt install jackd2)")
    reason = NoJack(f"{NAMES} servers of these tests run already")
    for number in range(NAMES):
        with contextlib.ExitStack() as ends:
            try:
                ends.enter_context(_locked(number))
                env = ends.enter_context(_started(f"improv-{number}", period, patient))
            except BlockingIOError:
                continue
            except _Ended as ended:
                reason = ended
                continue
            yield env
            return
    raise reason


@contextlib.contextmanager
def _locked(number: int) -> Iterator[None]:
    lock = Path(tempfile.gettempdir()) / f"improv-jack-{number}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextlib.contextmanager
def _started(name: str, period: int, patient: bool) -> Iterator[Env]:
    command = ["jackd", *(["--sync"] if patient else []), "-n", name, "-d", "dummy", "-r", str(RATE), "-p", str(period)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            env = {**os.environ, "JACK_DEFAULT_SERVER": name, "JACK_NO_START_SERVER": "1"}
            _wait_until_it_answers(process, env)
            yield env
        finally:
            process.terminate()


def signal_server(env: Env, number: int) -> int:
    """Gives its process id."""
    (server,) = [pid for pid in children(os.getpid()) if f"-n\0{env['JACK_DEFAULT_SERVER']}\0" in command_of(pid)]
    os.kill(server, number)
    return server


def kill_server(env: Env) -> None:
    """As a crash would; its clients live on."""
    server = signal_server(env, signal.SIGKILL)
    os.waitpid(server, 0)  # the next one looks whether it still runs


@contextlib.contextmanager
def server_again(env: Env) -> Iterator[None]:
    """Another server in place of the one that was killed."""
    with _started(env["JACK_DEFAULT_SERVER"], LONG_PERIOD, patient=True):
        yield


def _wait_until_it_answers(process: subprocess.Popen[bytes], env: Env, patience_s: float = 15.0) -> None:
    ask = [sys.executable, "-c", "import rtmidi; rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name='ask').delete()"]
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise _Ended(f"jackd does not start here (exit status {process.returncode})")
        answers = subprocess.run(ask, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        if answers and _serves(process.pid, env["JACK_DEFAULT_SERVER"]):
            return
        time.sleep(0.02)
    raise NoJack(f"jackd did not answer within {patience_s:.0f} s")


def _serves(pid: int, name: str) -> bool:
    """Whether it was this process that answered, and not another server of that name."""
    files = Path(f"/proc/{pid}/fd")
    with contextlib.suppress(OSError):
        return not files.exists() or any(f"_{name}_system" in os.readlink(file) for file in files.iterdir())
    return False


@contextlib.contextmanager
def server_or_skip(period: int = LONG_PERIOD) -> Iterator[Env]:
    """For fixtures: where there is no JACK the test is skipped, or fails where real ports are required."""
    with contextlib.ExitStack() as stack:
        try:
            env = stack.enter_context(server(period, patient=True))
        except NoJack as reason:
            no_ports(reason)
        yield env


def no_ports(reason: NoJack) -> NoReturn:
    (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(f"no real ports: {reason}")


class _Lines:
    """The lines of a pipe as they come, on a thread; `wait` sleeps until one fits."""

    def __init__(self, pipe: IO[str], take: Callable[[str], None] | None = None) -> None:
        """What JACK's library says of its own accord, from its own threads, is left out."""
        self.lines: list[str] = []
        self.ended = False
        self.changed = threading.Condition()
        self._take = take or self.lines.append
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._pipe:
            if line.startswith("Jack::"):
                continue
            with self.changed:
                self._take(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: holds() or self.ended, timeout_s)
            return holds()

    def join(self) -> None:
        self._thread.join()


class _Helper:
    """A process of these tests' own: told in lines of JSON, it tells in lines of JSON."""

    def __init__(self, env: Env, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, text=True, bufsize=1)
        self._readies = 0
        assert self._process.stdout is not None
        self._lines = _Lines(self._process.stdout, self._take)
        try:
            self._wait(lambda: self._readies == 1, 15.0, "open its ports")
        except AssertionError:
            self._end()
            raise

    def _take(self, line: str) -> None:
        for kind, value in json.loads(line).items():
            if kind == "ready":
                self._readies += 1
            else:
                self._take_one(kind, value)

    def _take_one(self, kind: str, value: Any) -> None:
        raise NotImplementedError

    def _wait(self, holds: Callable[[], bool], timeout_s: float, what: str) -> None:
        name = type(self).__name__.lower()
        assert self._lines.wait(holds, timeout_s), f"the {name} did not {what} within {timeout_s:.1f} s"

    def _tell(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _end(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._lines.join()
        self._process.stdout.close()
        self._process.wait()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()


class Player(_Helper):
    """The observer's process: plays phrases, and keeps what was sent and received."""

    def __init__(self, env: Env, *arguments: str) -> None:
        """By default on the ports that `improv listen --virtual` opens."""
        self.sent: list[Stamped] = []
        self.received: list[Stamped] = []
        self.report: dict[str, Any] = {}
        self._played = self._told = 0
        arguments = arguments or ("--to", "improv in", "--from", "improv out")
        super().__init__(env, [sys.executable, str(OBSERVER), *arguments])

    def _take_one(self, kind: str, value: Any) -> None:
        if kind in ("sent", "received"):
            getattr(self, kind).append(Stamped(value[0], tuple(value[1])))
        elif kind == "all":
            self.report = value
        elif kind == "played":
            self._played += 1

    def start(self, phrase: Phrase, at_ns: int | None = None) -> int:
        """Begin to play, now or at a moment; give the number to `finish` it by."""
        at = {} if at_ns is None else {"at": at_ns}
        self._tell(play=[[after_s, list(message)] for after_s, message in phrase], **at)
        self._told += 1
        return self._told

    def finish(self, number: int, timeout_s: float) -> None:
        self._wait(lambda: self._played >= number, timeout_s, "play its phrase")

    def play(self, phrase: Phrase, at_ns: int | None = None) -> list[Stamped]:
        """Play a phrase to its end; give its messages as they were sent."""
        wait_s = 0.0 if at_ns is None else (at_ns - time.perf_counter_ns()) / 1e9
        self.finish(self.start(phrase, at_ns), wait_s + phrase[-1][0] + 10.0)
        return self.sent[-len(phrase) :]

    def connect(self) -> None:
        """Find the ports anew."""
        number = self._readies + 1
        self._tell(connect=1)
        self._wait(lambda: self._readies >= number, 15.0, "connect")

    def wait(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Until something received makes it so."""
        return self._lines.wait(holds, timeout_s)

    def wait_for_quiet(self, quiet_s: float, timeout_s: float) -> bool:
        """Until nothing was received for so long."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            seen = len(self.received)
            if not self.wait(lambda seen=seen: len(self.received) > seen, quiet_s):
                return True
        return False

    def notes(self, channel: int, after_ns: int = 0) -> list[Stamped]:
        """The note-ons received on a channel."""
        heard = list(self.received)
        return [event for event in heard if event.note_on and event.channel == channel and event.time_ns > after_ns]

    def wait_for_notes(self, channel: int, count: int = 1, after_ns: int = 0, timeout_s: float = 5.0) -> list[Stamped]:
        """Wait for note-ons on a channel; give those that came."""
        self.wait(lambda: len(self.notes(channel, after_ns)) >= count, timeout_s)
        return self.notes(channel, after_ns)

    def sound(self, at_ns: int | None = None, channel: int | None = None) -> Sound:
        """What sounded at a time (now, where none is given)."""
        heard = [event for event in self.received if at_ns is None or event.time_ns <= at_ns]
        return sound(event for event in heard if channel is None or event.channel == channel)

    def kill(self) -> None:
        """As a crash would: there is no report."""
        kill(self._process.pid)
        self._process.wait()

    def close(self) -> dict[str, Any]:
        """End the observer's process; give its report."""
        self._end()
        return self.report


class Cable(_Helper):
    """Carries what a daemon plays back to its input."""

    def __init__(self, env: Env, *arguments: str) -> None:
        """On the ports that `improv listen --virtual` opens."""
        ends = ("--from", "improv out", "--to", "improv in")
        super().__init__(env, [sys.executable, "-m", "tests.cable", *ends, *arguments])


class Due(NamedTuple):
    """A tick of the master's: its number in the song, when it was due, and sent (None: lost)."""

    number: int
    due_ns: int
    sent_ns: int | None


class Master(_Helper):
    """The master of a MIDI clock, and when its beats truly were."""

    def __init__(self, env: Env, *arguments: str) -> None:
        """By default it plays into the port that `improv listen --virtual` opens."""
        self.ticks: list[Due] = []  # of the song, since it was last set off
        self.told: list[tuple[str, int]] = []
        super().__init__(env, [sys.executable, "-m", "tests.master", *(arguments or ("--to", "improv in"))])

    def _take_one(self, kind: str, value: Any) -> None:
        if kind == "tick":
            self.ticks.append(Due(*value))
        elif kind == "told":
            self.told.append((value[0], value[1]))
            if value[0] in ("start", "continue"):
                self.ticks.clear()

    def tell(self, **commands: Any) -> int:
        """Commands of `tests/master.py`, such as `bpm=120`; gives the moment of the last that it says when it obeys."""
        said = {"start", "stop", "continue", "song"} & commands.keys()
        wanted = len(self.told) + len(said)
        self._tell(**commands)
        if not said:
            return 0
        self._wait(lambda: len(self.told) >= wanted, 3.0, "obey")
        return self.told[-1][1]

    def start(self, bpm: float) -> int:
        """From the top; gives the moment of the first beat."""
        self.tell(bpm=bpm, start=1)
        self._wait(lambda: len(self.ticks) > 1, 3.0, "tick")
        return self.ticks[0].due_ns

    def time_ns(self, beat: float) -> int:
        """When a beat of the song is due; one that is still to come, at the tempo of the last tick."""
        return round(_between([tick.number / PPQN for tick in self.ticks], [tick.due_ns for tick in self.ticks], beat))

    def beat(self, time_ns: int) -> float:
        return _between([tick.due_ns for tick in self.ticks], [tick.number / PPQN for tick in self.ticks], time_ns)

    def wait_for(self, beat: float) -> None:
        time.sleep(max(0.0, (self.time_ns(beat) - time.perf_counter_ns()) / 1e9))

    def next_bar(self, beats: int = 4) -> int:
        """The first beat of the next bar, at least half a beat from now."""
        return math.ceil((self.beat(time.perf_counter_ns()) + 0.5) / beats) * beats

    close = _Helper._end


def _between(xs: list[float], ys: list[float], x: float) -> float:
    """The line through two neighbours, the first or last two where `x` lies beyond."""
    after = min(max(bisect.bisect_right(xs, x), 1), len(xs) - 1)
    x0, x1, y0, y1 = xs[after - 1], xs[after], ys[after - 1], ys[after]
    return y0 + (x - x0) * (y1 - y0) / (x1 - x0)


class Daemon:
    """`improv listen` in a process of its own, ready when it says so."""

    def __init__(self, env: Env, *arguments: str, wait: bool = True, program: Sequence[str] = ("-m", "improv")) -> None:
        command = [sys.executable, *program, "listen", *arguments]
        pipe = subprocess.PIPE
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.out, self.err = _Lines(self.process.stdout), _Lines(self.process.stderr)
        self.start_up_s = float("nan")
        if wait and not self.wait_until_listening():
            self.close()
            raise AssertionError(f"improv did not listen: {self.err.lines}")

    def wait_until_listening(self, timeout_s: float = 20.0) -> bool:
        listening = self.out.wait(lambda: any(line.startswith("listening") for line in self.out.lines), timeout_s)
        self.start_up_s = time.perf_counter() - self.began
        return listening

    @property
    def outlet(self) -> int:
        """The process id of the outlet."""
        (outlet,) = self._outlets()
        return outlet

    def _outlets(self) -> list[int]:
        return [pid for pid in children(self.process.pid) if "improv.midi.outlet" in command_of(pid)]

    def wait_for_outlet(self, another_than: int, timeout_s: float = 5.0) -> int:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if others := set(self._outlets()) - {another_than}:
                return others.pop()
            time.sleep(0.02)
        raise AssertionError("no other outlet was started")

    def signal(self, number: int) -> int:
        """Gives the moment it was sent."""
        now = time.perf_counter_ns()
        self.process.send_signal(number)
        return now

    def wait(self, timeout_s: float = 10.0) -> int:
        """The exit status."""
        return self.process.wait(timeout_s)

    def close(self) -> None:
        """In good order where it can: a client that is killed leaves JACK in disorder."""
        self.process.terminate()
        try:
            self.process.wait(3.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            lines.join()
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in path.read_text().split()]
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""  # it has just ended


def gone(pid: int, timeout_s: float = 3.0) -> bool:
    """Wait until a process has ended. One that nobody has waited for yet has ended all the same."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def resident_kb(pid: int, key: str = "VmRSS") -> int:
    return _status_kb(Path(f"/proc/{pid}/status"), key)


def proportional_kb(pid: int) -> int:
    """Resident memory, what is shared counted in shares."""
    return _status_kb(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def _status_kb(path: Path, key: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{key}:"))


class Thread(NamedTuple):
    """What one thread has used, and how often it was woken."""

    cpu_s: float
    wakes: int


def threads(pids: Sequence[int]) -> dict[str, Thread]:
    found = {}
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            wakes = next(line for line in (task / "status").read_text().splitlines() if line.startswith("voluntary"))
            found[task.name] = Thread(cpu_s, int(wakes.split()[1]))
    return found


def loads(pids: Sequence[int], over_s: float) -> tuple[float, float]:
    """What share of a core the processes' own threads take, and those that the driver wakes each period."""
    before, began = threads(pids), time.perf_counter()
    time.sleep(over_s)
    after, took = threads(pids), time.perf_counter() - began
    own = driver = 0.0
    for name, was in before.items():
        share = (after[name].cpu_s - was.cpu_s) / took
        if (after[name].wakes - was.wakes) / took > RATE / PERIOD / 2:
            driver += share
        else:
            own += share
    return own, driver


def kill(pid: int) -> int:
    """Kill without warning; give the moment."""
    now = time.perf_counter_ns()
    os.kill(pid, signal.SIGKILL)
    return now
