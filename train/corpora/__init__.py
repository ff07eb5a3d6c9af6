"""MIDI files to arrays, and the pieces in them."""
