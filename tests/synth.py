"""FluidSynth as a musician's synthesiser on a JACK server, without sound hardware: what it plays goes to a file."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from improv.midi.sound import RATE, soundfont
from tests.jack import Env, NoJack, Player

PORT = "FluidSynth:midi_00"
FRAME_BYTES = 4  # both channels of 16 bits


class FluidSynth:
    """Has a port called `PORT`. Raises NoJack where it is not installed."""

    def __init__(self, env: Env) -> None:
        if shutil.which("fluidsynth") is None:
            raise NoJack("fluidsynth is not installed (Debian and Ubuntu: apt install fluidsynth)")
        self._folder = tempfile.TemporaryDirectory()
        self._audio = Path(self._folder.name) / "audio.raw"
        settings = {"audio.file.name": self._audio, "audio.file.type": "raw", "midi.jack.id": "FluidSynth"}
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        command = ["fluidsynth", "-q", "-a", "file", "-m", "jack", "-R", "0", "-C", "0", "-g", "2", *options]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        command.append(str(soundfont()))
        self.process = subprocess.Popen(command, env=env, stdin=pipe, stdout=nowhere, stderr=nowhere)
        try:
            Player(env, "--to", PORT).close()  # it waits for the port
        except AssertionError:
            self.close()
            raise

    def loudest(self, last_s: float) -> int:
        """The largest sample of the sound of the last seconds, 0 to 32768."""
        size = self._audio.stat().st_size
        start = max(0, size // FRAME_BYTES - round(last_s * RATE)) * FRAME_BYTES
        with self._audio.open("rb") as file:
            file.seek(start)
            samples = np.frombuffer(file.read((size - start) // 2 * 2), "<i2")
        return int(np.abs(samples.astype(int)).max(initial=0))

    def falls_silent(self, timeout_s: float = 4.0) -> bool:
        """Wait until the last note has rung out: what still sounds then would sound for ever."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if self.loudest(0.3) == 0:
                return True
            time.sleep(0.05)
        return False

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()  # its shell ends there
        self.process.wait()
        self._folder.cleanup()

    def __enter__(self) -> FluidSynth:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
