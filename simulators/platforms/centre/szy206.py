"""A simulated centre's side of one SZY206 or SL/T 427 connection: confirms as it is told to, asks, judges. Pure.

Strategy: stations are known by the five address bytes as sent. A report that fits its AFN and is not later than its
time tag allows is confirmed as the plan says; the work mode in the confirm is the one that the station reported, unless
another is wanted. Parts of a split answer are joined.

Source: SZY206, link test, C0H confirm, control field (FCB), split messages; SL/T 427-2021, confirm with time tag.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from agent.uplinks.szy206_wire.content import decode
from agent.uplinks.szy206_wire.exchange import confirm_of, tag_of
from agent.uplinks.szy206_wire.frame import FIRST_FCB, Frame
from agent.uplinks.szy206_wire.names import CONFIRMED, REPORTS, Afn, AlarmOrder, Dialect, Edition, Kind
from agent.uplinks.szy206_wire.receiver import Receiver
from simulators.platforms.centre.behaviour import Ack
from simulators.platforms.centre.contract import (
    GARBAGE_S,
    Answered,
    Heard,
    Memory,
    Moment,
    Parcel,
    Pending,
    Posed,
    Report,
    Seen,
    Turn,
    Unanswered,
    Wrong,
    is_full,
    parcels_of,
    spoilt,
)
from simulators.platforms.centre.refusals import OrderError
from simulators.platforms.centre.szy206_checks import dated, fcb_judged, is_late, judged, tag_reused
from simulators.platforms.centre.szy206_orders import KNOWN, Downlink
from simulators.platforms.centre.szy206_stream import trouble, unfinished

_MOST_PARTS = 255
_PARTS_S = 60.0
_DIGEST = 16
_LOGINS = ("echo", "F2", "00", "silent")
_EXPLAINED = frozenset({"tp", "alarm_hex", "state_hex", "unreadable", "record_size", "record_unit", "alarm_order"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Szy206Options:
    """One centre. `login`: echo, F2, 00 or silent; `mode` in confirms: None the station's own. `password` of settings.

    `clock_edition` is that of the time tags it sends; its confirms have one when the report's was of 7 bytes.
    """

    dialect: Dialect = field(default_factory=Dialect)
    login: str = "echo"
    mode: int | None = None
    password: str = "0000"  # noqa: S105 - what most leave it at
    timeout_s: float = 10.0

    @property
    def sending(self) -> Dialect:
        """The dialect of what the centre sends: a known edition."""
        is_auto = self.dialect.edition is Edition.AUTO
        return replace(self.dialect, edition=Edition.SZY206) if is_auto else self.dialect


def _login(text: str) -> str:
    if text not in _LOGINS:
        raise ValueError(", ".join(_LOGINS))
    return text


def _mode(text: str) -> int | None:
    if text == "own":
        return None
    if text not in {"0", "1", "2", "3"}:
        raise ValueError("0–3, own")
    return int(text)


def _password(text: str) -> str:
    if re.fullmatch("[0-9A-Fa-f]{4}", text) is None:
        raise ValueError("0000–FFFF")
    return text.upper()


SETTINGS: Mapping[str, Callable[[str], Any]] = MappingProxyType({"login": _login, "mode": _mode, "password": _password})
"""What may change while a centre runs, and how its text is read. Raises ValueError that names what is allowed."""


class Szy206Centre:
    """See `simulators.platforms.centre.contract.CentreDialogue`."""

    def __init__(self, options: Szy206Options, memory: Memory) -> None:
        self.station = ""
        memory.options = options
        self._memory = memory
        self._receiver = Receiver()
        self._heard_s = 0.0
        self._address = b""
        self._asked: Pending | None = None
        self._waiting: deque[Downlink] = deque()
        self._parts: dict[int, Frame] = {}  # of a split answer, by DIVS
        self._parts_until_s = math.inf
        self._fcbs: tuple[str, int] = ("", FIRST_FCB)  # the last report and its FCB
        self._dropped = 0
        self._raw = b""  # of the last turn, with what waited before it
        self._posed: set[int] = set()  # AFNs that were asked for on this connection

    @property
    def _options(self) -> Szy206Options:
        """As they are now: they may change while a connection stands."""
        options: Szy206Options = self._memory.options
        return options

    @property
    def deadline_s(self) -> float:
        """The next repeat of an order, or giving up of half a frame or of parts."""
        waits = [self._parts_until_s]
        if self._asked is not None:
            waits.append(self._asked.until_s)
        if self._receiver.pending:
            waits.append(self._heard_s + GARBAGE_S)
        return min(waits)

    def receive(self, data: bytes, now: Moment) -> Turn:
        """Takes what arrived."""
        self._heard_s = now.s
        turn = Turn()
        self._raw = self._rest() + data
        self._take(self._receiver.feed(data), now, turn)
        self._name_trouble(turn)
        return turn

    def ask(self, downlink: Downlink, now: Moment) -> Turn:
        """Sends an order when the one before is settled. Raises OrderError."""
        if not self._address:
            raise OrderError("not-heard")
        if is_full(self._waiting):
            raise OrderError("too-many", station=self.station)
        self._made(downlink, now)
        turn = Turn()
        self._waiting.append(downlink)
        self._ask_next(now, turn)
        return turn

    def tick(self, now: Moment) -> Turn:
        """Repeats an order with FCB counted down, then gives it up; gives up half a frame."""
        turn = Turn()
        if self._receiver.pending and now.s >= self._heard_s + GARBAGE_S:
            self._give_up_frame(now, turn)
        if now.s >= self._parts_until_s:
            turn.events.append(self._wrong("parts_missing", "sheet §2.2", count=len(self._parts)))
            self._parts, self._parts_until_s = {}, math.inf
        asked = self._asked
        if asked is not None and now.s >= asked.until_s:
            if asked.tries < FIRST_FCB:
                self._pose(asked, now, turn)
            else:
                self._asked = None
                turn.events.append(Unanswered(order=asked.order, station=self.station))
                self._ask_next(now, turn)
        return turn

    def end(self, now: Moment) -> Turn:
        """Says what the connection's end left unfinished: a frame, a split message."""
        turn = Turn()
        if self._receiver.pending:
            self._give_up_frame(now, turn)
        if self._parts:
            turn.events.append(
                replace(self._wrong("parts_missing", "sheet §2.2", count=len(self._parts)), is_failed=False)
            )
        turn.parcels.clear()
        return turn

    # --- frames that came

    def _rest(self) -> bytes:
        return self._raw[len(self._raw) - self._receiver.pending :]

    def _name_trouble(self, turn: Turn) -> None:
        """What is wrong with the bytes that belonged to no frame."""
        if self._receiver.dropped > self._dropped:
            turn.events.append(replace(trouble(self._raw), station=self.station))
        self._dropped = self._receiver.dropped

    def _give_up_frame(self, now: Moment, turn: Turn) -> None:
        self._raw = self._rest()
        stopped = unfinished(self._raw)
        self._take(self._receiver.give_up(), now, turn)
        self._dropped = self._receiver.dropped
        turn.events.append(replace(stopped, station=self.station))

    def _take(self, frames: Sequence[Frame], now: Moment, turn: Turn) -> None:
        for frame in frames:
            first, self.station = len(turn.events), frame.address.hex().upper()
            turn.events.append(Heard(station=self.station, function=f"{frame.afn:02X}", data=frame.to_bytes()))
            if frame.is_up:
                self._address = frame.address
                (self._whole if frame.divs is None else self._part)(frame, now, turn)
            else:
                turn.events.append(self._wrong("direction", "sheet §2.2"))
            turn.proved(first, frame.to_bytes())

    def _part(self, frame: Frame, now: Moment, turn: Turn) -> None:
        """Parts count down to 1; all there, they are one."""
        assert frame.divs is not None
        if frame.divs == 0:
            turn.events.append(self._wrong("part_number", "sheet §2.2", received=0))
            return
        if self._parts and next(iter(self._parts.values())).afn != frame.afn:
            self._parts = {}
        self._parts[frame.divs] = frame
        self._parts_until_s = now.s + _PARTS_S
        if frame.divs == 1 and set(self._parts) == set(range(1, len(self._parts) + 1)):
            body = b"".join(self._parts[at].body for at in sorted(self._parts, reverse=True))
            self._parts, self._parts_until_s = {}, math.inf
            self._whole(replace(frame, divs=None, body=body), now, turn)
        elif len(self._parts) >= _MOST_PARTS:
            self._parts = {}

    def _whole(self, frame: Frame, now: Moment, turn: Turn) -> None:
        fields = self._fields(frame)
        observed = dated(fields.get("tp"), now.at)
        turn.events += judged(frame, fields, observed, now.at)
        if self._asked is not None and self._asked.downlink.function == frame.afn:
            self._answered(frame, fields, now, turn)
        elif frame.afn == Afn.LINK:
            self._linked(frame, fields, now, turn)
        elif fields.get("data_fits") is False:
            return
        elif frame.afn in REPORTS:
            self._reported(frame, fields, observed, now, turn)
        else:
            turn.events.append(self._unasked(frame))

    def _fields(self, frame: Frame) -> dict[str, Any]:
        """What a frame says; an alarm report in the other order of §8, where only that one can be read."""
        dialect = self._options.dialect
        fields = decode(frame, dialect)
        if frame.afn == Afn.ALARM_REPORT and (fields.get("unreadable") or fields.get("data_fits") is False):
            other = AlarmOrder.LAST if dialect.alarm_order is AlarmOrder.FIRST else AlarmOrder.FIRST
            found = decode(frame, replace(dialect, alarm_order=other))
            if not found.get("unreadable") and found.get("data_fits") is not False:
                return {**found, "alarm_order": other.value}
        return fields

    def _unasked(self, frame: Frame) -> Wrong:
        """An answer to nothing; one to a question that was repeated, or given up, only comes late."""
        function = f"{frame.afn:02X}"
        if frame.afn in self._posed:
            return replace(self._wrong("answered_late", "sheet §2.3", function=function), is_failed=False)
        if frame.afn not in KNOWN:
            return replace(self._wrong("vendor_function", "sheet §4", function=function), is_failed=False)
        return self._wrong("unasked", "sheet §4", function=function)

    def _linked(self, frame: Frame, fields: Mapping[str, Any], now: Moment, turn: Turn) -> None:
        word = str(fields.get("link", ""))
        turn.events.append(Seen(station=self.station, word=word.partition(" ")[2] or word))
        login = self._options.login
        if login == "silent":
            return
        body = frame.body[:1] if login == "echo" else bytes.fromhex(login)
        self._say(Frame(is_up=False, func=0, fcb=frame.fcb, address=frame.address, afn=Afn.LINK, body=body), now, turn)

    # --- reports

    def _reported(
        self, frame: Frame, fields: dict[str, Any], observed: datetime | None, now: Moment, turn: Turn
    ) -> None:
        tag = fields.get("tp")
        if tag is not None and observed is not None and is_late(tag, observed, now.at):
            return
        shown = "" if observed is None else observed.replace(tzinfo=None).isoformat("T", "seconds")
        key = self._key(frame, shown)
        is_again = self._fcbs[0] == key
        turn.events += fcb_judged(frame, self._fcbs[1] if is_again else None)
        turn.events += tag_reused(frame, key, self._fcbs[0], shown)
        self._fcbs = (key, frame.fcb)
        self._memory.of(self.station).reported(key, frame.fcb)
        report = Report(
            key=key,
            station=self.station,
            function=f"{frame.afn:02X}",
            serial=frame.fcb,
            observed=shown,
            sent="",
            values={name: value for name, value in fields.items() if name not in _EXPLAINED},
            fields={"func": frame.func, **fields},
        )
        turn.events.append(report)
        if frame.afn in CONFIRMED:
            self._confirm(frame, fields, key, now, turn)

    def _key(self, frame: Frame, observed: str) -> str:
        """The same in repeats: address, AFN, type and time tag (sheet §2.3), which is dated; without one, FCB tells."""
        digest = hashlib.sha256(frame.body).hexdigest()[:_DIGEST]
        plain = f"{self.station}/{frame.afn:02X}/{frame.func}/{observed}/{digest}"
        if observed:
            return plain
        last = self._memory.of(self.station).last_key
        is_again = frame.fcb < FIRST_FCB and last.startswith(plain)
        return last if is_again else f"{plain}/{self._memory.of(self.station).acks}"

    def _confirm(self, frame: Frame, fields: Mapping[str, Any], key: str, now: Moment, turn: Turn) -> None:
        ack = self._memory.next_ack(self.station)
        if not ack.answers:
            return
        answer = self._confirmed(frame, fields, ack, now)
        frames = [answer.to_bytes()]
        if ack.ruin == "crc":
            frames = [spoilt(frames[0])]
        if ack.glue == "ack":
            frames *= 2
        if ack.glue == "query" and self._asked is None:
            frames.append(self._glued_query(now, turn))
        settled = (key,) if ack.settles else ()
        turn.parcels.extend(parcels_of(frames, ack, now, station=self.station, about=key, settles=settled))

    def _confirmed(self, frame: Frame, fields: Mapping[str, Any], ack: Ack, now: Moment) -> Frame:
        mode = self._options.mode if self._options.mode is not None else fields.get("work_mode", 0)
        is_long = "time" in (fields.get("tp") or {})
        tag = None
        if is_long or ack.is_tagged:
            tag = tag_of(now.at, Edition.SLT427 if is_long else self._options.sending.edition)
        answer = confirm_of(frame, mode, tag=tag, dialect=replace(self._options.dialect, edition=Edition.AUTO))
        if ack.ruin == "fcb":
            return replace(answer, fcb=answer.fcb ^ 1)
        if ack.ruin == "address":
            return replace(answer, address=answer.address[:-1] + bytes([answer.address[-1] ^ 1]))
        return answer

    # --- orders and their answers

    def _glued_query(self, now: Moment, turn: Turn) -> bytes:
        """The query that shares a segment with a confirm."""
        downlink = Downlink(name="B0", function=Afn.QUERY_REALTIME, func=Kind.FLOW)
        self._asked = Pending(next(self._memory.orders), downlink, 1, now.s + self._options.timeout_s)
        self._posed.add(downlink.function)
        turn.events.append(Posed(order=self._asked.order, station=self.station, name=downlink.name))
        return self._made(downlink, now).to_bytes()

    def _made(self, downlink: Downlink, now: Moment) -> Frame:
        password = self._memory.of(self.station).password or self._options.password
        return downlink.frame(self._address, now, password=password, dialect=self._options.sending)

    def _ask_next(self, now: Moment, turn: Turn) -> None:
        if self._asked is None and self._waiting:
            downlink = self._waiting.popleft()
            self._asked = Pending(next(self._memory.orders), downlink)
            turn.events.append(Posed(order=self._asked.order, station=self.station, name=downlink.name))
            self._pose(self._asked, now, turn)

    def _pose(self, asked: Pending, now: Moment, turn: Turn) -> None:
        frame = replace(self._made(asked.downlink, now), fcb=FIRST_FCB - asked.tries)
        asked.tries += 1
        self._posed.add(asked.downlink.function)
        asked.until_s = now.s + self._options.timeout_s
        self._say(frame, now, turn, asked.downlink.name)

    def _answered(self, frame: Frame, fields: Mapping[str, Any], now: Moment, turn: Turn) -> None:
        assert self._asked is not None
        if frame.afn == Afn.CHANGE_PASSWORD and "new_pw_hex" in fields:
            self._memory.of(self.station).password = fields["new_pw_hex"]
        function = f"{frame.afn:02X}"
        data = bytes([frame.control]) + frame.address + bytes([frame.afn]) + frame.body  # joined, it has no frame
        turn.events.append(
            Answered(order=self._asked.order, station=self.station, function=function, fields=fields, data=data)
        )
        self._asked = None
        self._ask_next(now, turn)

    def _say(self, frame: Frame, now: Moment, turn: Turn, name: str = "link") -> None:
        turn.parcels.append(Parcel(station=self.station, name=name, pieces=(frame.to_bytes(),), at_s=now.s))

    def _wrong(self, code: str, clause: str, /, **arguments: object) -> Wrong:
        return Wrong(station=self.station, code=code, clause=clause, arguments=arguments)
