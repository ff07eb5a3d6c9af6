"""Improv: a real-time MIDI improviser."""

__version__ = "0.1.0"
