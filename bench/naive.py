"""The script everybody writes first: poll in a loop with pymodbus, publish with paho. The yardstick of the bench.

Usage: python naive.py BROKER_PORT BAUD PERIOD_S METERS.json; METERS is a
list of [name, port or host:port, unit, [[first, count], …]].
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusException


def connection(opened: dict[str, Any], place: str, baud: int) -> Any:
    if place not in opened:
        if place.startswith("/"):
            opened[place] = ModbusSerialClient(place, baudrate=baud, timeout=1)
        else:
            host, _, port = place.rpartition(":")
            opened[place] = ModbusTcpClient(host, port=int(port), timeout=1)
        opened[place].connect()
    return opened[place]


def main() -> None:
    broker_port, baud, period_s, path = sys.argv[1:5]
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="naive")
    client.connect_async("127.0.0.1", int(broker_port), keepalive=60)
    client.loop_start()
    meters = json.loads(Path(path).read_text(encoding="utf-8"))
    opened: dict[str, Any] = {}
    due = time.monotonic()
    while True:
        for name, place, unit, runs in meters:
            values: list[int] = []
            try:
                for first, count in runs:
                    bus = connection(opened, place, int(baud))
                    values += bus.read_holding_registers(first, count=count, device_id=unit).registers
            except ModbusException as error:
                print(name, error, file=sys.stderr)
                continue
            message = {"meter": name, "at": time.time(), "values": values}
            client.publish("qushui/naive/rounds", json.dumps(message), qos=1)
        due += float(period_s)
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due, time.monotonic() - float(period_s))


if __name__ == "__main__":
    main()
