"""The section of a broker in the configuration."""

from __future__ import annotations

import contextlib
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from agent.form.fields import DurationMs, SizeBytes, Text, UplinkSection, refusal
from agent.uplinks.mqtt.options import PORTS, MqttOptions


def _checked_url(text: str) -> str:
    with contextlib.suppress(ValueError):  # a port that is no number, a host that no name server could know
        parts = urlsplit(text)
        str(parts.hostname).encode("idna")
        is_bare = not (parts.username or parts.password or parts.query or parts.fragment)
        if parts.scheme in PORTS and parts.hostname and parts.port != 0 and parts.path in {"", "/"} and is_bare:
            return text
    raise refusal("mqtt-url", value=text)


Url = Annotated[Text, AfterValidator(_checked_url)]
Topic = Annotated[Text, Field(pattern=r"^[^#+$\x00][^#+\x00]*$")]  # no wildcards. Source: OASIS MQTT 5.0, section 4.7


class MqttSettings(UplinkSection):
    """A broker that gets every round as it is committed."""

    locale_name: ClassVar[str] = "uplink-mqtt"

    type: Literal["mqtt"] = Field(default="mqtt", description="the kind of platform")
    url: Url = Field(
        description="mqtt://HOST[:1883], or mqtts://HOST[:8883] for TLS", examples=["mqtts://mq.example.cn:8883"]
    )
    protocol: Literal[5, 3] = Field(default=5, description="MQTT 5, or 3 for MQTT 3.1.1")
    username: Text | None = Field(default=None, description="user name at the broker")
    password_file: Text | None = Field(default=None, description="file whose first line is the password")
    ca_file: Text | None = Field(default=None, description="certificates to trust (PEM); default: the system's")
    cert_file: Text | None = Field(default=None, description="our own certificate (PEM), where the broker wants one")
    key_file: Text | None = Field(default=None, description="private key of cert_file (PEM)")
    client_id: Text | None = Field(default=None, description="default: qushui-STATION-UPLINK")
    topic: Topic = Field(default="qushui", description="what the topics begin with: TOPIC/STATION/rounds")
    format: Literal["qushui", "thingsboard", "thingsboard-device"] = Field(
        default="qushui", description="thingsboard: its gateway API; thingsboard-device: its device API"
    )
    encoding: Literal["json", "json+zlib"] = Field(default="json", description="json+zlib saves 85 % of the bytes")
    keepalive: Annotated[int, DurationMs("5s", "1h")] = Field(
        default=60_000, description="how often an idle connection is tried"
    )
    message_max: Annotated[int, SizeBytes("1kB", "10MB")] = Field(
        default=60_000, description="the largest message; many brokers refuse more than 64 kB"
    )
    reconnect_max: Annotated[int, DurationMs("1s", "1h")] = Field(
        default=60_000, description="the longest wait between two attempts to connect"
    )

    @field_validator("encoding")
    @classmethod
    def _only_plain_for_others(cls, encoding: str, info: ValidationInfo) -> str:
        """ThingsBoard's forms are JSON and nothing else."""
        if encoding != "json" and info.data.get("format") != "qushui":
            raise refusal("mqtt-encoding", value=encoding)
        return encoding

    def options(self) -> MqttOptions:
        """What the uplink is told."""
        return MqttOptions(**dict(self))
