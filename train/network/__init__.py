"""The network, and what it is shown."""
