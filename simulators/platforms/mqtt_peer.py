"""One client as the platform sees it: what it sent, what it is owed, and what bounds it. No sockets."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from enum import Enum

from simulators.platforms import mqtt_answers
from simulators.platforms.mqtt_fields import Code, Property
from simulators.platforms.mqtt_topics import matches
from simulators.platforms.mqtt_wire import V5, Connect, Filter, Message, PacketReader

OUT_MAXIMUM = 4_000_000  # bytes owed to a client that does not read; above that it is cut off
_WAITING_MAXIMUM = 1000  # messages for a subscriber that does not acknowledge
_IN_FLIGHT_MAXIMUM = 100  # messages sent to a subscriber and not acknowledged
_LAST_NUMBER = 65_535


class End(Enum):
    """How a connection ends from this side."""

    OPEN = "open"
    CLOSE = "close"  # after everything owed is sent
    RESET = "reset"  # at once, by a TCP reset


class Peer:
    """The state of one connection. `key` tells connections apart; times are monotonic seconds."""

    def __init__(self, key: int, maximum_packet: int, now_s: float) -> None:
        self.key = key
        self.reader = PacketReader(maximum_packet)
        self.out = bytearray()
        self.end = End.OPEN
        self.connect: Connect | None = None
        self.client = ""  # its identifier, given or assigned
        self.is_mute = False  # it gets no CONNACK: everything it says is dropped
        self.has_left = False  # it said DISCONNECT with code 0: its will is void
        self.heard_s = now_s  # its last whole packet
        self.owed: set[int] = set()  # its publishes at QoS 1 that have no answer yet
        self.receive_maximum = _LAST_NUMBER  # how many of them we allow it
        self.filters: dict[str, Filter] = {}
        self._in_flight: set[int] = set()
        self._waiting: deque[Message] = deque()
        self._number = 0

    @property
    def level(self) -> int:
        """The protocol level it speaks, 0 before its CONNECT."""
        return self.reader.level

    def say(self, data: bytes) -> None:
        """Owes it `data`; a client that lets too much pile up is cut off."""
        if self.end is not End.OPEN:
            return
        self.out += data
        if len(self.out) > OUT_MAXIMUM:
            self.end = End.RESET

    def dismiss(self, code: Code) -> None:
        """Closes after saying why, where its version lets us."""
        if self.level == V5 and self.connect is not None:
            self.say(mqtt_answers.disconnect(code))
        if self.end is End.OPEN:
            self.end = End.CLOSE

    def offer(self, message: Message, *, sender: Peer | None) -> None:
        """Hands it a message if one of its filters covers the topic, once, at the best QoS granted."""
        found = [each for each in self.filters.values() if matches(each.text, message.topic)]
        found = [each for each in found if not (each.no_local and sender is self)]
        if not found:
            return
        is_retained = message.retain and any(each.retain_as_published for each in found)
        qos = min(message.qos, 1, max(each.qos for each in found))
        self.deliver(replace(message, qos=qos, retain=is_retained))

    def deliver(self, message: Message) -> None:
        """Sends it a message; while too many are unacknowledged at QoS 1 it waits, and what comes behind it too."""
        if len(self._waiting) >= _WAITING_MAXIMUM:
            self.dismiss(Code.QUOTA_EXCEEDED)
            return
        self._waiting.append(message)
        self._send_waiting()

    def acknowledged(self, number: int) -> None:
        """It has the message sent as `number`: the next one may go."""
        self._in_flight.discard(number)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and (self._waiting[0].qos == 0 or len(self._in_flight) < self._in_flight_maximum()):
            message, number = self._waiting.popleft(), 0
            if message.qos:
                number = self._number = self._free_number()
                self._in_flight.add(number)
            self._send(message, number)

    def is_silent(self, now_s: float, handshake_s: float) -> bool:
        """Whether it broke its keepalive (one and a half times, 5.0 §3.1.2.10), or never came to speak."""
        if self.connect is None or self.is_mute:
            return now_s - self.heard_s > handshake_s
        if self.connect.keepalive_s == 0:
            return self.reader.is_inside and now_s - self.heard_s > handshake_s
        return now_s - self.heard_s > 1.5 * self.connect.keepalive_s

    def _send(self, message: Message, number: int) -> None:
        data = mqtt_answers.publish(self.level, message, number=number)
        if len(data) <= self._limit(Property.MAXIMUM_PACKET_SIZE, len(data)):
            self.say(data)
        else:
            self._in_flight.discard(number)  # as if it had been sent, 5.0 [MQTT-3.1.2-25]

    def _in_flight_maximum(self) -> int:
        return min(_IN_FLIGHT_MAXIMUM, self._limit(Property.RECEIVE_MAXIMUM, _IN_FLIGHT_MAXIMUM))

    def _limit(self, name: Property, default: int) -> int:
        found = self.connect.properties.get(name, default) if self.connect else default
        return found if isinstance(found, int) else default

    def _free_number(self) -> int:
        number = self._number % _LAST_NUMBER + 1
        while number in self._in_flight:
            number = number % _LAST_NUMBER + 1
        return number
