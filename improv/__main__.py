"""`python -m improv`."""

from improv.cli import app

app(prog_name="improv")
