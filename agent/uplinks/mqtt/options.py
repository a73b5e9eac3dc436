"""What the uplink to a broker is told, once judged: plain data, so that the daemon needs nothing that judges it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

PORTS = MappingProxyType({"mqtt": 1883, "mqtts": 8883})  # as registered with IANA


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttOptions:
    """One broker. Durations in ms, sizes in bytes; the fields are those of `MqttSettings`, which documents them."""

    type: str
    url: str
    protocol: int
    username: str | None
    password_file: str | None
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    client_id: str | None
    topic: str
    encoding: str
    keepalive: int
    message_max: int
    reconnect_max: int
    format: str = "qushui"

    @property
    def reconnect_max_ms(self) -> int:
        """The longest wait between two attempts to connect."""
        return self.reconnect_max
