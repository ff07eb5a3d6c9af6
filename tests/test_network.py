"""Nothing of it can be reached over a network, unless Link is asked for."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.jack import Daemon, Env, children, server_or_skip

pytestmark = pytest.mark.jack

TABLES = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6", "packet")
VIRTUAL = ("--virtual", "--api", "jack")
LINK_PORT = 20808


@pytest.fixture(scope="module")
def env() -> Iterator[Env]:
    with server_or_skip() as env:
        yield env


def sockets(pid: int) -> list[str]:
    """The lines of /proc/net that are sockets of a process or of those it started."""
    found = []
    for process in (pid, *children(pid)):
        links = [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()]
        numbers = {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}
        tables = [Path(f"/proc/{process}/net/{table}") for table in TABLES]
        rows = [row for table in tables if table.exists() for row in table.read_text().splitlines()[1:]]
        found += [row for row in rows if numbers & set(row.split())]
    return found


def udp_ports(pid: int) -> set[int]:
    return {int(row.split()[1].rpartition(":")[2], 16) for row in sockets(pid)}


@pytest.mark.parametrize(
    "flags", [(), ("--clock", "midi"), ("--bpm", "120", "--clock-out", "--click"), ("--record", "takes")]
)
def test_no_network_is_opened(env: Env, tmp_path: Path, flags: tuple[str, ...]) -> None:
    flags = tuple(str(tmp_path / flag) if flag == "takes" else flag for flag in flags)
    with Daemon(env, *VIRTUAL, *flags) as daemon:
        assert len(children(daemon.process.pid)) >= 1
        assert sockets(daemon.process.pid) == []


@pytest.mark.skipif(find_spec("aalink") is None, reason="needs the `link` extra")
def test_link_opens_what_link_needs_and_no_connection(env: Env) -> None:
    """Also shows that the test above can see a socket."""
    with Daemon(env, *VIRTUAL, "--clock", "link") as daemon:
        until = time.monotonic() + 5
        while not (found := sockets(daemon.process.pid)) and time.monotonic() < until:
            time.sleep(0.05)
        assert LINK_PORT in udp_ports(daemon.process.pid), found
