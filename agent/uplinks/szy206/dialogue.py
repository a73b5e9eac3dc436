"""A station's side of one SZY206 or SL/T 427 connection: login, reports, confirms, queries, settings. Pure.

Strategy: a confirm has an address and an AFN and names no report: FCB and type code are returned by some centres only
and are the same in the next report, and its time tag is the centre's clock. So one frame is on its way at a time, and
where it was sent twice, the next one goes only when both sends were confirmed: else the late confirm of a repeat would
be taken for the next report's. If the missing confirms do not come, the connection is given up, which makes them
impossible. A centre that confirms one send twice breaks the rules; nothing tells its second confirm from the next
report's first. So each frame waits for a while behind the confirm before it, and a confirm that comes when none is
waited for teaches how many this centre sends: from then on, on this connection, each send must be confirmed as often
before the next frame goes. A report of several kinds of data is delivered when each of its frames is. FCB counts the
sends down from 3; an answer has that of the question.

A link test does not say who began it: one that comes soon after ours is the reply to it, any other is the centre's own
and gets its code back. Our answer waits for a reply as every one of ours does, so that two sides that echo do not echo
each other for ever.

Source: SZY206, link test, C0H confirm, control field; SL/T 427-2021, FCB rule and confirm with time tag.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agent.report.options import CentreOptions
from agent.uplinks.dialogue import (
    Acknowledged,
    Asked,
    Delivery,
    Happening,
    Moment,
    Over,
    Partly,
    Refused,
    Step,
    Unanswered,
    Violation,
)
from agent.uplinks.szy206.commands import Order, ask_of, mode_order, mode_set, moment_ms, replies_of
from agent.uplinks.szy206.encode import UnfitError, frames_of, local
from agent.uplinks.szy206.options import WireOptions
from agent.uplinks.szy206_wire.content import compose, decode
from agent.uplinks.szy206_wire.exchange import can_date, is_confirm_of
from agent.uplinks.szy206_wire.frame import FIRST_FCB, Frame
from agent.uplinks.szy206_wire.names import CONFIRMED, Afn
from agent.uplinks.szy206_wire.receiver import Receiver
from agent.uplinks.szy206_wire.words import Mode

_GARBAGE_S = 5.0  # bytes that wait so long for their rest are no frame
_MOST_NOISE = 65_536  # bytes of one connection that are no frame; then this is no centre
_MOST_ORDERS = 64  # unanswered; several may come in one piece, and each is answered
_LOGIN, _LOGOUT, _KEEPALIVE = "F0 login", "F1 logout", "F2 keep-alive"


class _Flight:
    """A report on its way: the frames still to go, and the one in the air with its sends and confirms."""

    def __init__(self, delivery: Delivery, frames: list[Frame]) -> None:
        self.delivery = delivery
        self.frames = deque(frames)
        self.confirmed = delivery.confirmed
        self.until_s = math.inf  # of its confirms; while there is no send, of the wait before the next one
        self.sends = 0
        self.confirms = 0

    @property
    def frame(self) -> Frame:
        """The one in the air, with the FCB of its last send."""
        return replace(self.frames[0], fcb=FIRST_FCB - max(0, self.sends - 1))


class Szy206Dialogue:
    """See `agent.uplinks.dialogue.Dialogue`."""

    def __init__(self, options: WireOptions, *, allows_sets: bool = False, trusts_clock: bool = False) -> None:
        self._options = options
        self._trusts_clock = trusts_clock
        self._allows_sets = allows_sets
        self._receiver = Receiver(images=False)
        self._flight: _Flight | None = None
        self._paused_until_s = -math.inf  # no frame goes before
        self._last = (0, 0)  # sends and confirms of the frame that was confirmed last
        self._each = 1  # confirms of one send, as this centre has shown
        self._login_until_s = -math.inf  # nothing is sent before, unless the centre answered
        self._linked_until_s = -math.inf  # a link test before then replies to ours
        self._quiet_s = 0.0
        self._heard_s = 0.0
        self._orders: dict[int, Order] = {}
        self._token = 0
        self._dropped = 0
        self._renamed: tuple[bytes, Frame] | None = None  # the last change of the password, and its answer

    @property
    def is_ready(self) -> bool:
        """Whether the login is through and nothing is in the air, not even a second confirm."""
        return self._flight is None and self._login_until_s == self._paused_until_s == -math.inf

    @property
    def deadline_s(self) -> float:
        """The next repeat, keep-alive, end of the login, or giving up of half a frame."""
        waits = [self._quiet_s + self._options.keepalive_s]
        if self._flight is not None:
            waits.append(self._flight.until_s)
        waits += [each for each in (self._login_until_s, self._paused_until_s) if each != -math.inf]
        if self._receiver.pending:
            waits.append(self._heard_s + _GARBAGE_S)
        return min(waits)

    def opened(self, now: Moment) -> Step:
        """Logs in."""
        self._heard_s = now.s
        if self._options.wants_login_answer:
            self._login_until_s = now.s + self._options.timeout_s
        return Step((self._link(_LOGIN, now),))

    def send(self, delivery: Delivery, now: Moment) -> Step:
        """Sends the first frame of a report."""
        assert self.is_ready
        try:
            frames = frames_of(delivery.content, self._options, now_ms=now.at_ms or delivery.content.slot_ms)
        except UnfitError as error:
            return Step(happenings=(Refused(tag=delivery.tag, reason=str(error)),))
        self._flight = _Flight(delivery, frames[delivery.confirmed :] or frames)
        return Step((self._sent(self._flight, now),))

    def receive(self, data: bytes, now: Moment) -> Step:
        """Takes what arrived; what is no frame is skipped and said."""
        self._heard_s = now.s
        step = self._taken(self._receiver.feed(data), now)
        if now.s >= self._paused_until_s > -math.inf:  # behind all of it: a second confirm may lie in the same piece
            step = _joined(step, self._resumed(now))
        return step

    def answer(self, token: int, result: Mapping[str, Any] | None, now: Moment) -> Step:
        """Answers a query, or a setting that was carried out; silence for what was not, and for broadcasts."""
        order = self._orders.pop(token, None)
        if order is None or result is None:
            return Step()
        if order.frame.afn in {Afn.SET_MODE, *CONFIRMED}:
            self._options = replace(self._options, mode=order.fields["work_mode"])
        if not order.is_answered:
            return Step()
        try:
            frames = replies_of(order, result, self._options, now_ms=now.at_ms)
        except UnfitError as error:
            return Step(happenings=(Violation(code="no_answer", detail=str(error)),))
        frames = [replace(frame, fcb=order.frame.fcb) for frame in frames]
        if order.name == "password_set":
            self._take_password(result["new"], order.frame, frames[0])
        self._quiet_s = now.s
        return Step(tuple(frame.to_bytes() for frame in frames))

    def _take_password(self, new: str, asked: Frame, answer: Frame) -> None:
        """It holds from now on, where passwords are looked at; who missed the answer asks again with the old one."""
        if self._options.password is not None:
            self._options = replace(self._options, password=new)
        self._renamed = (asked.body, answer)

    def tick(self, now: Moment) -> Step:
        """Repeats, gives up, keeps alive."""
        step = Step()
        if self._receiver.pending and now.s >= self._heard_s + _GARBAGE_S:
            step = self._taken(self._receiver.give_up(), now)
        if now.s >= self._login_until_s:
            self._login_until_s = -math.inf  # many centres never answer a login
        if now.s >= self._paused_until_s > -math.inf:
            return _joined(step, self._resumed(now))
        flight = self._flight
        if flight is not None and now.s >= flight.until_s:
            return _joined(step, self._late(flight, now))
        if now.s >= self._quiet_s + self._options.keepalive_s:
            return _joined(step, Step((self._link(_KEEPALIVE, now),)))
        return step

    def farewell(self, now: Moment) -> Step:
        """Logs out."""
        return Step((self._link(_LOGOUT, now),))

    def _late(self, flight: _Flight, now: Moment) -> Step:
        """No confirm in time: once more with the next lower FCB; none left: the exchange has failed."""
        if flight.confirms:
            return Step(happenings=(Over(reason="repeats without confirm"),))
        if flight.sends >= FIRST_FCB or not self._can_date(flight, now):
            self._flight = None
            return Step(happenings=(Unanswered(tag=flight.delivery.tag),))
        return Step((self._sent(flight, now),))

    def _can_date(self, flight: _Flight, now: Moment) -> bool:
        """Whether a frame that arrives now gets its own month: that may have ended since the first one went."""
        slot = local(flight.delivery.content.slot_ms, self._options)
        return now.at_ms is None or can_date(slot, local(now.at_ms, self._options), self._options.edition)

    def _sent(self, flight: _Flight, now: Moment) -> bytes:
        flight.sends += 1
        flight.until_s = now.s + self._options.timeout_s
        self._quiet_s = now.s
        return flight.frame.to_bytes()

    # --- frames that came

    def _taken(self, frames: list[Frame], now: Moment) -> Step:
        data: list[bytes] = []
        happenings: list[Happening] = []
        for frame in frames:
            step = self._frame(frame, now)
            data += step.data
            happenings += step.happenings
        if self._receiver.dropped > self._dropped:
            detail, is_fatal = f"{self._receiver.dropped - self._dropped} bytes", self._receiver.dropped > _MOST_NOISE
            happenings.append(Violation(code="noise", detail=detail, is_fatal=is_fatal))
            self._dropped = self._receiver.dropped
        return Step(tuple(data), tuple(happenings))

    def _frame(self, frame: Frame, now: Moment) -> Step:
        if frame.is_up:
            return Step(happenings=(Violation(code="direction", detail="up"),))
        if frame.afn in CONFIRMED and frame.address == self._options.address:
            return self._confirmed(frame, now)
        if frame.afn == Afn.LINK and frame.address == self._options.address:
            return self._linked(frame, now)
        if self._renamed is not None and (frame.afn, frame.body) == (Afn.CHANGE_PASSWORD, self._renamed[0]):
            return Step((replace(self._renamed[1], fcb=frame.fcb).to_bytes(),))
        order = ask_of(frame, self._options, now_ms=now.at_ms, allows_sets=self._allows_sets)
        if not isinstance(order, Order):
            return Step(happenings=(order,))
        return Step(happenings=(self._asked(order),))

    def _asked(self, order: Order) -> Asked:
        self._token += 1
        self._orders[self._token] = order
        self._orders.pop(self._token - _MOST_ORDERS, None)
        return Asked(token=self._token, name=order.name, arguments=order.arguments)

    def _linked(self, frame: Frame, now: Moment) -> Step:
        """The reply to our link test, or the centre's own."""
        self._login_until_s = -math.inf
        is_reply, self._linked_until_s = now.s < self._linked_until_s, -math.inf
        word = decode(frame, self._options.dialect).get("link")
        return Step() if is_reply or word is None else Step((self._link(str(word), now),))

    def _confirmed(self, frame: Frame, now: Moment) -> Step:
        """So many confirms for each send as are usual; the first delivers the frame, the last lets the next one go."""
        flight = self._flight
        if flight is None or not flight.sends or not is_confirm_of(frame, flight.frames[0], self._options.dialect):
            return Step(happenings=(self._unasked(frame),))
        flight.confirms += 1
        is_delivered = flight.confirms == 1 and len(flight.frames) == 1
        happenings: tuple[Happening, ...] = (Acknowledged(tag=flight.delivery.tag),) if is_delivered else ()
        if flight.confirms == 1 and not is_delivered:
            flight.confirmed += 1
            happenings = (Partly(tag=flight.delivery.tag, frames=flight.confirmed),)
        happenings += (*self._timed(frame, flight.frames[0]), *self._ordered(frame))
        if flight.confirms < flight.sends * self._each:
            flight.until_s = now.s + self._options.timeout_s
            return Step(happenings=happenings)
        flight.frames.popleft()
        self._last = (flight.sends, flight.confirms)
        flight.sends = flight.confirms = 0
        flight.until_s, self._paused_until_s = math.inf, now.s + self._options.confirm_pause_s
        if not flight.frames:
            self._flight = None
        return Step(happenings=happenings)

    def _resumed(self, now: Moment) -> Step:
        """No second confirm came: the next frame of the report goes, or the next report may."""
        self._paused_until_s = -math.inf
        flight = self._flight
        if flight is None:
            return Step()
        if not self._can_date(flight, now):
            self._flight = None
            return Step(happenings=(Unanswered(tag=flight.delivery.tag),))
        return Step((self._sent(flight, now),))

    def _unasked(self, frame: Frame) -> Violation:
        """A confirm that nobody waits for: so often does this centre confirm a send, or comes too late with it."""
        sends, confirms = self._last
        self._last = (sends, confirms + 1)
        if sends:
            self._each = max(self._each, -(-(confirms + 1) // sends))
        return Violation(code="unasked_confirm", detail=f"{frame.afn:02X}")

    def _ordered(self, confirm: Frame) -> tuple[Happening, ...]:
        """The work mode in a confirm, where it is to be obeyed and is another one than ours."""
        mode = decode(confirm, self._options.dialect)["work_mode"]
        if not self._options.obeys_confirms or mode == self._options.mode or mode not in set(Mode):
            return ()
        order = mode_order(confirm, mode)
        return (self._asked(order),)

    def _timed(self, confirm: Frame, report: Frame) -> tuple[Happening, ...]:
        """The time of the centre, which its confirms carry in the 2021 edition; one that repeats ours tells none."""
        said, told = (decode(each, self._options.dialect).get("tp") for each in (confirm, report))
        if not self._trusts_clock or said is None or "time" not in said or said == told:
            return ()
        at_ms = moment_ms(said["time"], "%Y-%m-%dT%H:%M:%S", self._options)
        if at_ms is None:
            return ()
        self._token += 1  # nobody waits for an answer
        return (Asked(token=self._token, name="clock_set", arguments={"at_ms": at_ms}),)

    def _link(self, word: str, now: Moment) -> bytes:
        self._quiet_s = now.s
        self._linked_until_s = now.s + self._options.timeout_s
        body = compose({"link": word}, is_up=True, afn=Afn.LINK)
        return Frame(is_up=True, func=0, address=self._options.address, afn=Afn.LINK, body=body).to_bytes()


def _joined(first: Step, second: Step) -> Step:
    return Step((*first.data, *second.data), (*first.happenings, *second.happenings))


def szy206_dialogue(
    options: CentreOptions, changed: Mapping[str, str], *, next_serial: Callable[[], int], last_serial: int
) -> Szy206Dialogue:
    """The dialogue of a connection to this centre, with what it has set last; frames have no serials."""
    del next_serial, last_serial
    wire: WireOptions = options.wire
    if wire.password is not None:
        wire = replace(wire, password=changed.get("password", wire.password))
    if options.allows_sets:
        wire = replace(wire, mode=mode_set(changed, wire.mode))
    return Szy206Dialogue(wire, allows_sets=options.allows_sets, trusts_clock=options.trusts_clock)
