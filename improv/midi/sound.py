"""Sound: a built-in synthesiser for `--out builtin`, and audio files of MIDI files."""

from __future__ import annotations

import wave
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from improv.errors import BadInput
from improv.hush import hushed
from improv.midi import wire

RATE = 44100
LONGEST_TICKS = 1 << 28  # of a file that is played; pretty_midi's own 10 million are an hour and a half at 120 bpm
DRIVERS = (None, "jack")  # the platform's own, then JACK
NO_FLUIDSYNTH = "FluidSynth's library is not installed (Debian: libfluidsynth3, macOS: brew install fluid-synth)"


def soundfont() -> Path:
    """The General MIDI soundfont that pretty_midi brings along; found without importing it."""
    spec = find_spec("pretty_midi")
    assert spec is not None and spec.origin is not None  # a dependency
    return Path(spec.origin).with_name("TimGM6mb.sf2")


def _fluidsynth() -> Any:
    """The binding, or None where the library it binds is not on this machine."""
    try:
        import fluidsynth
    except ImportError:
        return None
    return fluidsynth


def _started(binding: Any, driver: str | None) -> Any:
    """A synthesiser that sounds through a driver, or None where that does not open."""
    synth = binding.Synth(gain=0.6)
    synth.setting("audio.period-size", 64)  # small: three times 64 frames are 4 ms
    synth.setting("audio.periods", 3)
    synth.setting("audio.jack.autoconnect", 1)
    synth.start(driver=driver)
    if synth.audio_driver is not None:
        return synth
    synth.delete()
    return None


class Synth:
    """FluidSynth playing through this machine's loudspeakers; takes MIDI messages like a port."""

    def __init__(self) -> None:
        binding = _fluidsynth()
        if binding is None:
            raise BadInput(f"`ports.output` (--out) builtin: {NO_FLUIDSYNTH}")
        with hushed():  # each driver that does not open says so at length
            started: Any = next((synth for driver in DRIVERS if (synth := _started(binding, driver))), None)
        if started is None:
            raise BadInput(
                "`ports.output` (--out) builtin: no sound device opens on this machine; name a MIDI port with --out"
            )
        self._synth = started
        font = self._synth.sfload(str(soundfont()))
        for number in range(16):
            if number + 1 != wire.DRUMS:
                self._synth.program_select(number, font, 0, 0)

    def send(self, message: bytes) -> None:
        synth, number = self._synth, message[0] & 0x0F
        match message[0] & 0xF0, message[1:]:
            case 0x80, (pitch, _):
                synth.noteoff(number, pitch)
            case 0x90, (pitch, velocity):
                synth.noteon(number, pitch, velocity)
            case 0xB0, (controller, value):
                synth.cc(number, controller, value)
            case 0xC0, (program,):
                synth.program_change(number, program)
            case 0xE0, (low, high):
                synth.pitch_bend(number, (high << 7 | low) - 8192)

    def close(self) -> None:
        self._synth.delete()


def render_wav(midi: Path, path: Path) -> str:
    """Play a MIDI file into a WAV file; gives the name of the synthesiser that was at hand."""
    import numpy as np
    import pretty_midi

    pretty_midi.pretty_midi.MAX_TICK = LONGEST_TICKS
    score = pretty_midi.PrettyMIDI(str(midi))
    if _fluidsynth() is not None:
        name, audio = "FluidSynth", score.fluidsynth(fs=RATE, synthesizer=str(soundfont()))
    else:
        name, audio = "pretty_midi's synthesiser", score.synthesize(fs=RATE)
    peak = float(np.abs(audio).max(initial=0.0)) or 1.0
    samples = (audio / peak * 0.9 * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return name
