"""Another peer of an Ableton Link session, in a process of its own: a line of JSON in, a line of JSON out.

    python tests/link_peer.py BPM

Says first how many peers it met within a second. Then takes {"tempo": bpm}, {"playing": bool}, {"shift": beats} or
{"beats": count}, and answers with the moment it began to act and, asked for beats, with moments and beats.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter_ns
from typing import Any

from aalink import Link

MEET_S = 1.0
BETWEEN_S = 0.01


async def main(bpm: float) -> None:
    link = Link(bpm)
    link.quantum = 4
    link.start_stop_sync_enabled = True
    link.enabled = True
    await asyncio.sleep(MEET_S)
    say(peers=link.num_peers)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        ((what, value),) = json.loads(line).items()
        now = perf_counter_ns()
        if what == "beats":
            say(time_ns=now, beats=[await beat(link) for _ in range(value)])
            continue
        if what == "shift":
            link.force_beat(link.beat + value)
        else:
            setattr(link, what, value)
        say(time_ns=now)


async def beat(link: Link) -> tuple[int, float]:
    """A moment and its beat; of a few the one that was read the quickest."""
    await asyncio.sleep(BETWEEN_S)
    looks = []
    for _ in range(5):
        before, beat, after = perf_counter_ns(), link.beat, perf_counter_ns()
        looks.append((after - before, (before + after) // 2, beat))
    return min(looks)[1:]


def say(**answer: Any) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
