"""Builds the networks that `improv` plays."""
