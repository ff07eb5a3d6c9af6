"""Ports, files and sound: everything that touches the world outside."""
