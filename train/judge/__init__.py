"""How good a network is, and at what."""
