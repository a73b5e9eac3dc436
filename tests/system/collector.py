"""Writes what a broker hands out to a file, one line per message: `MONOTONIC_NS TOPIC PAYLOAD`.

Usage: python collector.py PORT FILE. Its session is kept by the broker, so a restart of either loses nothing. Receives
as raw as it can, for it shares the machine with what is measured.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def main() -> None:
    """Runs until it is killed."""
    path = Path(sys.argv[2])
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="collector", clean_session=False)
    client.reconnect_delay_set(min_delay=1, max_delay=1)

    def connected(client: mqtt.Client, *_: Any) -> None:
        client.subscribe("qushui/#", qos=1)

    def subscribed(*_: Any) -> None:
        path.with_suffix(".ready").touch()

    seen: deque[bytes] = deque(maxlen=1000)  # a stopped broker hands out again what we had not acknowledged to it

    with path.open("ab", buffering=0) as file:

        def received(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
            if message.dup and message.payload in seen:
                return
            seen.append(message.payload)
            payload = message.payload.replace(b"\n", b" ")
            file.write(b"%d %s %s\n" % (time.monotonic_ns(), message.topic.encode(), payload))

        client.on_connect, client.on_subscribe, client.on_message = connected, subscribed, received
        client.connect_async("127.0.0.1", int(sys.argv[1]), keepalive=60)
        client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    main()
