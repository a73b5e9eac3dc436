"""A station's side of one SL 651 connection: reports and their repeats, keep-alive, queries and orders. Pure.

Strategy: one report is on its way at a time and keeps its serial number through all repeats; it counts as delivered by
a confirmation with its function and serial number and by nothing else, so an answer that comes late, or for the one
before, never settles another. After three sends without an answer the link is left (6.6.5). The end character tells
what a centre's frame is, since some send commands with a serial number: ENQ asks, ACK, EOT and ESC confirm. Frames with
a wrong password, another station or centre are not answered and change nothing.

A new password holds from the centre's last word on (6.6.4.23), which some never say: then from its first frame with the
new one on, or when the time for an answer is over. Until then either one is heard and the old one is sent.

Source: SL 651-2014 6.3 (modes), 6.6.4 (functions), annex B.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agent.report.content import Kind
from agent.report.options import CentreOptions
from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Delivery,
    Happening,
    Moment,
    Over,
    Refused,
    Step,
    Unanswered,
    Violation,
)
from agent.uplinks.sl651.commands import Order, ask_of, reply_of
from agent.uplinks.sl651.encode import FUNCTIONS, parts_of, sent_digits
from agent.uplinks.sl651.options import WireOptions
from agent.uplinks.sl651_wire.addresses import is_for
from agent.uplinks.sl651_wire.codes import BodyError, Control, Direction, Function
from agent.uplinks.sl651_wire.frame import LONGEST, Frame
from agent.uplinks.sl651_wire.link import Link
from agent.uplinks.sl651_wire.packets import confirms, resent, split
from agent.uplinks.sl651_wire.parts import Part
from agent.uplinks.sl651_wire.receiver import Receiver

SENDS = 3  # 6.6.5: one and two repeats
_NO_ANSWER = 1  # mode M1
_GARBAGE_S = 5.0  # bytes that wait so long for their rest are no frame
_MOST_NOISE = 65_536  # bytes of one connection that are no frame; then this is no centre
_MOST_OWED = 64  # sends
_MOST_ORDERS = 64  # unanswered; several may come in one piece, and each is answered
_CONFIRM_S = 20.0  # an answer in packets waits so long for the centre's last word
_RESENDS = 2  # of a packet that the centre asks for again (6.3.1.2 c)
_IN_PACKETS = frozenset({Kind.UNIFORM, Kind.MANUAL})  # what may go in packets where it is long (annex B, M3)


class _Packets:
    """A frame as it goes: itself, or the packets of a long one (M3), each of which is sent again twice at most."""

    def __init__(self, frame: Frame, most_bytes: int) -> None:
        self.function = frame.function
        self.frames = (frame,) if len(frame.payload) <= most_bytes else tuple(split(frame, most_bytes))
        self._resends = [_RESENDS] * len(self.frames)

    def again(self, frame: Frame) -> Frame | None:
        """The packet that a NAK asks for; None where it is none of these, or was sent too often."""
        if frame.packet is None or frame.function != self.function or frame.packet[0] != len(self.frames):
            return None
        at = frame.packet[1] - 1
        if not 0 <= at < len(self.frames) or self.frames[at].packet is None or not self._resends[at]:
            return None
        self._resends[at] -= 1
        return resent(self.frames[at])


class _Sent:
    """The report on its way: how often it was sent, until when its answer is waited for."""

    def __init__(self, delivery: Delivery, frame: Frame, packets: _Packets, until_s: float) -> None:
        self.delivery = delivery
        self.frame = frame
        self.packets = packets
        self.until_s = until_s
        self.sends = 1
        self.confirms = 0  # without a serial number (LEN 0)


class Sl651Dialogue:
    """See `agent.uplinks.dialogue.Dialogue`. `next_serial` numbers what is no report of the outbox: answers."""

    def __init__(
        self,
        options: WireOptions,
        *,
        next_serial: Callable[[], int],
        last_serial: int = 1,
        allows_sets: bool = False,
        trusts_clock: bool = False,
    ) -> None:
        self._options = options
        self._trusts_clock = trusts_clock
        self._next_serial = next_serial
        self._allows_sets = allows_sets
        self._dialect = options.dialect
        self._receiver = Receiver(encodings=(options.encoding,), longest=options.longest, dialect=self._dialect)
        self._password = options.password
        self._sent: _Sent | None = None
        self._serial = last_serial  # of the last report, for keep-alives (6.6.4.1)
        self._quiet_s = 0.0  # since when nothing was sent
        self._heard_s = 0.0
        self._orders: dict[int, Order] = {}
        self._token = 0
        self._packets: _Packets | None = None  # of the last answer in several, for the centre's NAK
        self._packets_until_s = math.inf
        self._new_password: Order | None = None  # answered, and not in force yet
        self._old_password = ""  # a centre that missed the answer asks with it once more
        self._new_until_s = math.inf
        self._skipped = 0
        self._owed: list[Frame] = []  # sends of settled reports whose confirmations may still come

    @property
    def is_ready(self) -> bool:
        """Whether no report waits for its answer."""
        return self._sent is None

    @property
    def deadline_s(self) -> float:
        """The next repeat, keep-alive, or giving up of half a frame."""
        waits = [self._quiet_s + self._options.keepalive_s, self._packets_until_s, self._new_until_s]
        if self._sent is not None:
            waits.append(self._sent.until_s)
        if self._receiver.waiting:
            waits.append(self._heard_s + _GARBAGE_S)
        return min(waits)

    def opened(self, now: Moment) -> Step:
        """No login: a keep-alive says who is there, so that the centre may ask before the first report (9.4)."""
        self._heard_s = now.s
        return self._kept_alive(now)

    def send(self, delivery: Delivery, now: Moment) -> Step:
        """Sends a report; without confirmation (M1) that is all."""
        assert self.is_ready
        try:
            frame, packets = self._report(delivery, now)
            data = self._bytes(*packets.frames)
        except ValueError as error:  # UnfitError, or longer than a frame can be
            return Step(happenings=(Refused(tag=delivery.tag, reason=str(error)),))
        self._serial = delivery.serial
        self._quiet_s = now.s
        if self._options.mode == _NO_ANSWER:
            return Step(data, (Acknowledged(tag=delivery.tag, confirmed=False),))
        self._sent = _Sent(delivery, frame, packets, now.s + self._options.timeout_s)
        return Step(data)

    def receive(self, data: bytes, now: Moment) -> Step:
        """Takes what arrived; what is no frame is skipped and said."""
        self._heard_s = now.s
        return self._taken(self._receiver.feed(data), now)

    def answer(self, token: int, result: Mapping[str, Any] | None, now: Moment) -> Step:
        """Answers a query, an order that was carried out; silence for what was not."""
        order = self._orders.pop(token, None)
        is_heard = order is not None and (self._options.answers_broadcast or not order.is_broadcast)
        if order is None or result is None or now.at_ms is None or not is_heard:
            return Step()
        try:
            return self._answered(order, reply_of(order, result, self._options), now)
        except ValueError as error:  # UnfitError, or longer than a frame can be
            return Step(happenings=(Violation(code="no_answer", detail=str(error)),))

    def tick(self, now: Moment) -> Step:
        """Repeats a report, or gives the link up; keeps it alive; gives up half a frame."""
        step = Step()
        if self._receiver.waiting and now.s >= self._heard_s + _GARBAGE_S:
            step = self._taken(self._receiver.idle(), now)
        if now.s >= self._packets_until_s:
            self._packets, self._packets_until_s = None, math.inf
        if now.s >= self._new_until_s:
            step = _joined(step, self._renamed())
        sent = self._sent
        if sent is not None and now.s >= sent.until_s:
            if sent.confirms:
                return _joined(step, Step(happenings=(Over(reason="repeats without confirmation"),)))
            if sent.sends >= SENDS:
                self._sent = None
                return _joined(step, Step(happenings=(Unanswered(tag=sent.delivery.tag),)))
            sent.sends += 1
            sent.until_s = now.s + self._options.timeout_s
            sent.frame, sent.packets = self._report(sent.delivery, now)
            self._quiet_s = now.s
            return _joined(step, Step(self._bytes(*sent.packets.frames)))
        if now.s >= self._quiet_s + self._options.keepalive_s:
            return _joined(step, self._kept_alive(now))
        return step

    def farewell(self, now: Moment) -> Step:  # noqa: ARG002 - the contract's
        """SL 651 has no word for it."""
        return Step()

    # --- frames that came

    def _taken(self, frames: list[Frame], now: Moment) -> Step:
        data: list[bytes] = []
        happenings: list[Happening] = []
        for frame in frames:
            step = self._frame(frame, now)
            data += step.data
            happenings += step.happenings
        if self._receiver.skipped > self._skipped:
            detail = f"{self._receiver.skipped - self._skipped} bytes"
            is_fatal = self._receiver.skipped > _MOST_NOISE
            happenings.append(Violation(code="noise", detail=detail, is_fatal=is_fatal))
            self._skipped = self._receiver.skipped
        return Step(tuple(data), tuple(happenings))

    def _frame(self, frame: Frame, now: Moment) -> Step:
        wrong = self._wrong(frame)
        if wrong is not None:
            return Step(happenings=(wrong,))
        new = self._new_password
        if new is not None and frame.password == new.arguments["new"] != self._password:
            return _joined(self._renamed(), self._heard(frame, now))
        return self._heard(frame, now)

    def _heard(self, frame: Frame, now: Moment) -> Step:
        if frame.end is Control.ENQ:
            return self._ordered(frame, now)
        if frame.end is Control.NAK:
            return self._asked_again(frame, now)
        step = self._confirmed(frame, now)
        is_last_word = self._new_password is not None and frame.function == Function.CHANGE_PASSWORD
        return _joined(step, self._renamed()) if is_last_word else step

    def _wrong(self, frame: Frame) -> Violation | None:
        """Why a frame is not for us; the centre gets no answer to it (9, 21.2)."""
        options = self._options
        if frame.direction is not Direction.DOWN:
            return Violation(code="direction", detail=frame.direction.value)
        if not is_for(frame.station, options.station):
            return Violation(code="foreign_station", detail=frame.station)
        if frame.centre != options.centre:
            return Violation(code="foreign_centre", detail=str(frame.centre))
        if options.checks_password and frame.password not in self._passwords(frame):
            return Violation(code="wrong_password", detail=f"function {frame.function:02X}")
        return None

    def _passwords(self, frame: Frame) -> set[str]:
        """Those that are heard: the one in force, the one to come; the old one where the change is asked for again."""
        found = {self._password}
        if self._new_password is not None:
            found.add(self._new_password.arguments["new"])
        if frame.function == Function.CHANGE_PASSWORD and self._old_password:
            found.add(self._old_password)
        return found

    def _confirmed(self, frame: Frame, now: Moment) -> Step:
        """What a confirmation settles: the report on its way, an answer in packets, or nothing any more.

        One without a serial number may be that of an earlier send, and never counts while such are owed; the report
        waits for as many of them as it was sent.
        """
        sent = self._sent
        owed = self._owing(frame)
        if sent is not None and confirms(frame, sent.frame) and owed is None:
            is_first = not sent.confirms
            sent.confirms += 1
            sent.until_s = now.s + self._options.timeout_s
            if frame.payload or sent.confirms >= sent.sends:
                self._sent = None
                self._owed += [sent.frame] * (sent.sends - sent.confirms)
                del self._owed[:-_MOST_OWED]
            return Step(happenings=(Acknowledged(tag=sent.delivery.tag),) if is_first else ())
        if owed is not None:
            self._owed.remove(owed)
        if self._packets is not None and frame.function == self._packets.function:
            self._packets, self._packets_until_s = None, math.inf
        return Step()

    def _owing(self, frame: Frame) -> Frame | None:
        """The settled send that a confirmation may be of, if any."""
        return next((each for each in self._owed if confirms(frame, each)), None)

    def _ordered(self, frame: Frame, now: Moment) -> Step:
        try:
            order = ask_of(frame, self._dialect, self._options, allows_sets=self._allows_sets)
        except BodyError as error:
            return Step(happenings=(Violation(code="body", detail=f"{frame.function:02X} {error}"),))
        if not isinstance(order, Order):
            return Step(happenings=(order,))
        order = replace(order, is_broadcast=frame.station != self._options.station)
        if order.name == "password_set":
            return self._password_asked(order, now)
        self._token += 1
        self._orders[self._token] = order
        self._orders.pop(self._token - _MOST_ORDERS, None)
        return Step(happenings=(Asked(token=self._token, name=order.name, arguments=order.arguments),))

    def _password_asked(self, order: Order, now: Moment) -> Step:
        """Answers a change of the password, which is carried out later; silence where the old one is wrong."""
        old, new = order.arguments["old"], order.arguments["new"]
        is_repeat = (old, new) == (self._old_password, self._password)
        if now.at_ms is None or order.is_broadcast or (old != self._password and not is_repeat):
            return Step(happenings=(Violation(code="wrong_password", detail="old one of function 49"),))
        if not is_repeat:
            self._new_password, self._new_until_s = order, now.s + self._options.timeout_s
        return self._answered(order, reply_of(order, {"new": new}, self._options), now)

    def _renamed(self) -> Step:
        """The new password holds from now on, and is kept."""
        order = self._new_password
        assert order is not None
        self._new_password, self._new_until_s = None, math.inf
        self._old_password, self._password = self._password, order.arguments["new"]
        self._token += 1  # answered before: no order waits under it
        return Step(happenings=(Asked(token=self._token, name=order.name, arguments=order.arguments),))

    def _asked_again(self, frame: Frame, now: Moment) -> Step:
        """NAK: one packet of a report or an answer is sent again (6.3.1.2 c)."""
        sent = self._sent
        for packets in (None if sent is None else sent.packets, self._packets):
            again = None if packets is None else packets.again(frame)
            if again is not None:
                self._quiet_s = now.s
                if sent is not None and packets is sent.packets:
                    sent.until_s = now.s + self._options.timeout_s
                return Step(self._bytes(again))
        number = 0 if frame.packet is None else frame.packet[1]
        return Step(happenings=(Violation(code="nak", detail=f"packet {number}"),))

    # --- frames to send

    def _link(self) -> Link:
        options = self._options
        return Link(centre=options.centre, station=options.station, password=self._password, encoding=options.encoding)

    def _report(self, delivery: Delivery, now: Moment) -> tuple[Frame, _Packets]:
        """The report's frame, and as it goes. Raises UnfitError."""
        content = delivery.content
        parts = parts_of(content, self._options)
        function = FUNCTIONS[content.kind]
        sent = sent_digits(now.at_ms or content.slot_ms, self._options)
        frame = self._link().report(function, serial=delivery.serial, sent=sent, parts=parts)
        return frame, _Packets(frame, self._options.packet_bytes if content.kind in _IN_PACKETS else LONGEST)

    def _kept_alive(self, now: Moment) -> Step:
        """A keep-alive; without a date only to a centre that may set it: it hears us and sees a date of 1970."""
        self._quiet_s = now.s
        if now.at_ms is None and not self._trusts_clock:
            return Step()
        sent = sent_digits(now.at_ms or 0, self._options)
        return Step(self._bytes(self._link().report(Function.KEEPALIVE, serial=self._serial, sent=sent)))

    def _answered(self, order: Order, parts: tuple[Part, ...], now: Moment) -> Step:
        """The answer's frame, or its packets (M3) where it is longer than one."""
        assert now.at_ms is not None
        sent = sent_digits(now.at_ms, self._options)
        frame = self._link().report(order.function, serial=self._next_serial(), sent=sent, parts=parts)
        packets = _Packets(frame, self._options.packet_bytes)
        data = self._bytes(*packets.frames)
        self._quiet_s = now.s
        if len(packets.frames) > 1:
            self._packets, self._packets_until_s = packets, now.s + _CONFIRM_S
        return Step(data)

    def _bytes(self, *frames: Frame) -> tuple[bytes, ...]:
        return tuple(frame.encode(self._dialect) for frame in frames)


def _joined(first: Step, second: Step) -> Step:
    return Step((*first.data, *second.data), (*first.happenings, *second.happenings))


def sl651_dialogue(
    options: CentreOptions, changed: Mapping[str, str], *, next_serial: Callable[[], int], last_serial: int
) -> Sl651Dialogue:
    """The dialogue of a connection to this centre, with the password that it has set last."""
    wire: WireOptions = options.wire
    wire = replace(wire, password=changed.get("password", wire.password))
    return Sl651Dialogue(
        wire,
        next_serial=next_serial,
        last_serial=last_serial,
        allows_sets=options.allows_sets,
        trusts_clock=options.trusts_clock,
    )
