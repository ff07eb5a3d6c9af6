"""A cable from a daemon's output back to its input, as a DAW may lay one by mistake: late, on another channel.

    python -m tests.cable --from 'improv out' --to 'improv in' --delay-ms 120 --channel 5

It says that it is ready in a line of JSON, and ends with stdin.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
import time

import rtmidi

from tests.observer import opened


def carry(arguments: argparse.Namespace) -> None:
    messages: queue.SimpleQueue[tuple[float, list[int]] | None] = queue.SimpleQueue()
    source = opened(rtmidi.MidiIn, arguments.api, arguments.source, "cable-in")
    sink = opened(rtmidi.MidiOut, arguments.api, arguments.to, "cable-out")

    def send() -> None:
        while (item := messages.get()) is not None:
            due_s, message = item
            time.sleep(max(0.0, due_s - time.monotonic()))
            if arguments.channel is not None and message[0] < 0xF0:
                message[0] = message[0] & 0xF0 | arguments.channel - 1
            sink.send_message(message)

    sender = threading.Thread(target=send)
    sender.start()
    delay_s = arguments.delay_ms / 1000
    source.set_callback(lambda event, _: messages.put((time.monotonic() + delay_s, event[0])))
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.read()
    source.cancel_callback()
    messages.put(None)
    sender.join()
    for port in (source, sink):
        port.close_port()
        port.delete()


def main() -> None:
    parser = argparse.ArgumentParser(description="Carries what one port sends to another, a while later.")
    parser.add_argument("--api", default="jack")
    parser.add_argument("--from", dest="source", required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--channel", type=int)
    carry(parser.parse_args())


if __name__ == "__main__":
    main()
