"""What the simulated platform answers to each packet, and how it misbehaves meanwhile. No sockets, no clock.

Whoever owns the sockets feeds `received` and calls `tick`; what a peer is owed stands in `peer.out`, how its
connection ends in `peer.end`. No session outlives its connection (5.0 §3.1.2.11: expiry 0), so a client begins
afresh each time. Everything kept for clients has a bound: packets, subscriptions, retained messages, bytes owed.
"""

from __future__ import annotations

import heapq
import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from simulators.platforms import mqtt_answers
from simulators.platforms.mqtt_behaviour import Behaviour, Order, obeyed
from simulators.platforms.mqtt_fields import Code, MqttError, Properties, Property
from simulators.platforms.mqtt_inbox import Emit, Heads, Inbox
from simulators.platforms.mqtt_peer import End, Peer
from simulators.platforms.mqtt_topics import is_valid_filter, matches
from simulators.platforms.mqtt_wire import (
    V5,
    V311,
    Connect,
    Disconnect,
    Filter,
    Message,
    Packet,
    Pingreq,
    Puback,
    Publish,
    Subscribe,
    Unsubscribe,
)

_MAXIMUM_PACKET = 4_000_000  # bytes
_PEERS = 200
_HANDSHAKE_S = 20.0  # to say CONNECT, and to finish a packet once begun where there is no keepalive
_FILTERS = 100  # per client
_RETAINED = 1000
_RETAINED_BYTES = 16_000_000
_SHARED = "$share/"
_CONNACK_311: Mapping[int, int] = {  # the five refusals of 3.1.1 §3.2.2.3
    Code.UNSUPPORTED_VERSION: 1,
    Code.IDENTIFIER_REFUSED: 2,
    Code.BAD_USER_OR_PASSWORD: 4,
    Code.NOT_AUTHORISED: 5,
}
_UNAVAILABLE_311 = 3
_SUBACK_FAILURE_311 = 0x80  # 3.1.1 §3.9.3


class Broker:
    """All peers, subscriptions and retained messages. `users`: user name to password; empty: everybody may."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        emit: Emit,
        users: Mapping[str, bytes] | None = None,
    ) -> None:
        self.behaviour = Behaviour()
        self.peers: dict[int, Peer] = {}
        self.counts: Counter[str] = Counter()
        self._inbox = inbox
        self._emit = emit
        self._users = dict(users or {})
        self._keys = count(1)
        self._heads: dict[int, Heads] = {}
        self._retained: dict[str, Message] = {}
        self._later: list[tuple[float, int, Peer, int]] = []  # delayed acknowledgements: due, order, whom, number

    def arrived(self, now_s: float) -> Peer | None:
        """A new connection; None when there are too many."""
        if len(self.peers) >= _PEERS:
            return None
        limit = self.behaviour.maximum_packet_size or _MAXIMUM_PACKET
        peer = Peer(next(self._keys), min(limit, _MAXIMUM_PACKET), now_s)
        self.peers[peer.key] = peer
        self._heads[peer.key] = Heads()
        self.counts["connections"] += 1
        return peer

    def received(self, peer: Peer, data: bytes, now_s: float) -> None:
        """Takes what a client sent and answers it."""
        self.counts["bytes"] += len(data)
        if peer.is_mute:
            return
        peer.reader.feed(data)
        try:
            while peer.end is End.OPEN and (packet := peer.reader.next()) is not None:
                peer.heard_s = now_s
                self._handle(peer, packet, now_s)
        except MqttError as error:
            self.counts["protocol_errors"] += 1
            self._emit({"event": "packet.refused", "client": peer.client, "code": error.code, "detail": error.detail})
            if error.code is Code.UNSUPPORTED_VERSION and peer.connect is None:
                peer.say(mqtt_answers.connack(V311, _CONNACK_311[error.code]))
            peer.dismiss(error.code)

    def gone(self, peer: Peer) -> None:
        """The connection is over; an unclean end publishes its will."""
        self.peers.pop(peer.key, None)
        self._heads.pop(peer.key, None)
        self._later = [each for each in self._later if each[2] is not peer]
        heapq.heapify(self._later)
        if peer.connect is not None and not peer.is_mute:
            self._emit({"event": "client.left", "client": peer.client, "clean": peer.has_left})
            if peer.connect.will is not None and not peer.has_left:
                self._publish(peer.connect.will, Heads(), None)

    def tick(self, now_s: float) -> float:
        """Sends what was delayed, closes who fell silent; seconds until the next delayed acknowledgement, at most 1."""
        while self._later and self._later[0][0] <= now_s:
            _, _, peer, number = heapq.heappop(self._later)
            self._acknowledge(peer, number)
        for peer in self.peers.values():
            if not self.behaviour.is_reading:
                peer.heard_s = now_s  # it may be talking: we do not listen
            if peer.end is End.OPEN and peer.is_silent(now_s, _HANDSHAKE_S):
                self.counts["timeouts"] += 1
                peer.dismiss(Code.KEEP_ALIVE_TIMEOUT)
        return min(1.0, self._later[0][0] - now_s) if self._later else 1.0

    def order(self, found: Any) -> Order:
        """Obeys an order (see `mqtt_behaviour`). Raises OrderError."""
        order = obeyed(found, self.behaviour)
        self.behaviour = order.behaviour
        if order.is_reset:
            for peer in self.peers.values():
                self._reset(peer)
        return order

    def report(self) -> dict[str, int]:
        """What was counted so far, and how many clients are connected."""
        names = (
            "connections",
            "refused_connections",
            "bytes",
            "acks",
            "refused_acks",
            "dropped_acks",
            "delayed_acks",
            "resets",
            "timeouts",
            "protocol_errors",
            "not_retained",
        )
        clients = sum(peer.connect is not None and not peer.is_mute for peer in self.peers.values())
        return {"clients": clients, **{name: self.counts[name] for name in names}}

    def _reset(self, peer: Peer) -> None:
        self.counts["resets"] += 1
        peer.end = End.RESET

    def _handle(self, peer: Peer, packet: Packet, now_s: float) -> None:
        match packet:
            case Publish():
                self._published(peer, packet, now_s)
            case Connect():
                self._connected(peer, packet)
            case Subscribe():
                self._subscribed(peer, packet)
            case Unsubscribe():
                codes = [
                    Code.SUCCESS if peer.filters.pop(text, None) else Code.NO_SUBSCRIPTION for text in packet.filters
                ]
                peer.say(mqtt_answers.unsuback(peer.level, packet.number, codes))
            case Puback():
                peer.acknowledged(packet.number)
            case Pingreq():
                peer.say(mqtt_answers.pingresp())
            case Disconnect():
                peer.has_left = packet.code == 0
                peer.end = End.CLOSE

    def _connected(self, peer: Peer, packet: Connect) -> None:
        peer.connect = packet
        peer.client = packet.client or f"anonymous-{peer.key}"
        code = self._refusal(packet)
        if self.behaviour.connect == "silent":
            peer.is_mute = True
        elif code:
            self.counts["refused_connections"] += 1
            self._emit({"event": "client.refused", "client": peer.client, "code": code})
            said = code if packet.level == V5 else _CONNACK_311.get(code, _UNAVAILABLE_311)
            peer.say(mqtt_answers.connack(packet.level, said))
            peer.connect = None  # no session, so no will
            peer.dismiss(Code.SUCCESS)
        else:
            for other in self.peers.values():
                if other is not peer and other.client == peer.client and other.connect is not None:
                    other.dismiss(Code.SESSION_TAKEN_OVER)
            peer.receive_maximum = self.behaviour.receive_maximum or peer.receive_maximum
            peer.say(mqtt_answers.connack(packet.level, Code.SUCCESS, self._limits(packet, peer.client)))
            self._emit({"event": "client.connected", "client": peer.client, "level": packet.level})

    def _refusal(self, packet: Connect) -> int:
        if self.behaviour.connect == "refuse":
            return self.behaviour.connect_code
        if Property.AUTHENTICATION_METHOD in packet.properties:
            return Code.BAD_AUTHENTICATION_METHOD
        if packet.level == V311 and not packet.client and not packet.clean:
            return Code.IDENTIFIER_REFUSED  # 3.1.1 [MQTT-3.1.3-8]
        if 0 in {packet.properties.get(name) for name in (Property.RECEIVE_MAXIMUM, Property.MAXIMUM_PACKET_SIZE)}:
            return Code.PROTOCOL_ERROR  # 5.0 §3.1.2.11.3, §3.1.2.11.4
        if self._users:
            expected = self._users.get(packet.user or "")
            if expected is None or not hmac.compare_digest(expected, packet.password or b""):
                return Code.BAD_USER_OR_PASSWORD
        return Code.SUCCESS

    def _limits(self, packet: Connect, client: str) -> Properties:
        limits: dict[Property, int | str] = {
            Property.MAXIMUM_QOS: 1,
            Property.SHARED_AVAILABLE: 0,
            Property.SUBSCRIPTION_IDENTIFIERS_AVAILABLE: 0,
            Property.MAXIMUM_PACKET_SIZE: self.behaviour.maximum_packet_size or _MAXIMUM_PACKET,
        }
        if self.behaviour.receive_maximum is not None:
            limits[Property.RECEIVE_MAXIMUM] = self.behaviour.receive_maximum
        if packet.properties.get(Property.SESSION_EXPIRY):
            limits[Property.SESSION_EXPIRY] = 0
        if not packet.client:
            limits[Property.ASSIGNED_CLIENT_IDENTIFIER] = client
        return limits

    def _published(self, peer: Peer, packet: Publish, now_s: float) -> None:
        if self.behaviour.reset_after is not None:
            left = self.behaviour.reset_after - 1
            self.behaviour = replace(self.behaviour, reset_after=left or None)
            if not left:
                self._reset(peer)
                return
        if packet.message.qos == 0:
            self._publish(packet.message, self._heads[peer.key], peer)
            return
        peer.owed.add(packet.number)
        if len(peer.owed) > peer.receive_maximum:
            raise MqttError(Code.RECEIVE_MAXIMUM_EXCEEDED, f"{len(peer.owed)} publishes without an answer")
        behaviour = self.behaviour
        self.behaviour = behaviour.counted()
        if behaviour.ack == "refuse":
            self._refuse(peer, packet.number, behaviour.ack_code)
            return
        self._publish(packet.message, self._heads[peer.key], peer)
        match behaviour.ack:
            case "drop":
                self.counts["dropped_acks"] += 1
            case "delay":
                self.counts["delayed_acks"] += 1
                due_s = now_s + behaviour.ack_delay_s
                heapq.heappush(self._later, (due_s, next(self._keys), peer, packet.number))
            case _:
                self._acknowledge(peer, packet.number)

    def _acknowledge(self, peer: Peer, number: int) -> None:
        peer.owed.discard(number)
        self.counts["acks"] += 1
        peer.say(mqtt_answers.puback(peer.level, number))

    def _refuse(self, peer: Peer, number: int, code: int) -> None:
        self.counts["refused_acks"] += 1
        peer.owed.discard(number)
        if peer.level == V5:
            peer.say(mqtt_answers.puback(V5, number, code))
        else:
            peer.end = End.CLOSE  # 3.1.1 has no negative acknowledgement, §3.3.5.2

    def _publish(self, message: Message, heads: Heads, sender: Peer | None) -> None:
        self._inbox.take(message, heads)
        if message.retain:
            self._retain(message)
        for peer in self.peers.values():
            peer.offer(message, sender=sender)

    def _retain(self, message: Message) -> None:
        self._retained.pop(message.topic, None)
        if not message.payload:  # 5.0 [MQTT-3.3.1-6]: it only clears
            return
        held = sum(len(each.topic) + len(each.payload) for each in self._retained.values())
        if len(self._retained) < _RETAINED and held + len(message.payload) <= _RETAINED_BYTES:
            self._retained[message.topic] = message
        else:
            self.counts["not_retained"] += 1

    def _subscribed(self, peer: Peer, packet: Subscribe) -> None:
        codes: list[int] = []
        fresh: list[Filter] = []
        for found in packet.filters:
            code = _subscription_refusal(found, len(peer.filters))
            if code is None:
                if found.retain_handling == 0 or (found.retain_handling == 1 and found.text not in peer.filters):
                    fresh.append(found)
                peer.filters[found.text] = found
                codes.append(min(found.qos, 1))
            else:
                codes.append(code if peer.level == V5 else _SUBACK_FAILURE_311)
        peer.say(mqtt_answers.suback(peer.level, packet.number, codes))
        for found in fresh:
            for message in self._retained.values():
                if matches(found.text, message.topic):
                    peer.deliver(replace(message, qos=min(message.qos, found.qos, 1)))


def _subscription_refusal(found: Filter, held: int) -> Code | None:
    if found.text.startswith(_SHARED):
        return Code.SHARED_UNSUPPORTED
    if not is_valid_filter(found.text):
        return Code.FILTER_INVALID
    return Code.QUOTA_EXCEEDED if held >= _FILTERS else None
