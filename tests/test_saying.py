"""Whoever reads standard output, or nobody: what is said there stops nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
SAYS = """
import sys
from improv.saying import say
say("one")
sys.stdin.read(1)
say("two")
say("three")
"""


def started(prefix: str = "exec") -> subprocess.Popen[bytes]:
    """A program that says three lines, the last two when it is told to."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        ["sh", "-c", f'{prefix} "$0" -c "$1"', sys.executable, SAYS],
        stdin=pipe, stdout=pipe, stderr=pipe, env=ENV,
    )  # fmt: skip


def test_each_line_is_said_at_once() -> None:
    with started() as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"one\n"
        assert program.communicate(b"\n", 20)[0] == b"two\nthree\n"


def test_a_reader_may_go() -> None:
    with started() as program:
        assert program.stdin is not None and program.stdout is not None and program.stderr is not None
        program.stdout.readline()
        program.stdout.close()
        program.stdin.write(b"\n")
        program.stdin.close()
        assert (program.stderr.read(), program.wait(20)) == (b"", 0)


@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no such device")
def test_nobody_has_to_hear_it(where: str) -> None:
    with started(f"exec {where}") as program:
        assert (*program.communicate(b"\n", 20), program.returncode) == (b"", b"", 0)
