"""A station's frames for tests of platforms, right and wrong ones, and what is said of the answers. Pure.

Source: SL 651-2014 6.2 (frames), 6.3.1 (modes), 6.6.2.4 (serials); SZY206 as the fact sheet has it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta, timezone
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from agent.report.content import Content, Kind
from agent.uplinks.sl651.encode import FUNCTIONS, parts_of, sent_digits
from agent.uplinks.sl651_wire import frame as sl651
from agent.uplinks.sl651_wire.body import header_of
from agent.uplinks.sl651_wire.codes import Control, Direction
from agent.uplinks.sl651_wire.link import Link as Sl651Frames
from agent.uplinks.sl651_wire.packets import confirms
from agent.uplinks.sl651_wire.parts import moment_of
from agent.uplinks.sl651_wire.receiver import Receiver as Sl651Receiver
from agent.uplinks.szy206.encode import frames_of
from agent.uplinks.szy206_wire import frame as szy206
from agent.uplinks.szy206_wire.content import compose, decode
from agent.uplinks.szy206_wire.exchange import is_confirm_of
from agent.uplinks.szy206_wire.names import Afn, Edition
from agent.uplinks.szy206_wire.receiver import Receiver as Szy206Receiver
from simulators.conformance.verdict import Clause
from simulators.stations.content import content_of
from simulators.stations.links import Link, Sl651Link, Szy206Link

SL651 = "SL 651-2014"
SL651_SHEET = "SL 651-2014, fact sheet"
SZY206_SHEET = "SZY206 / SL/T 427-2021, fact sheet"
_SECOND_MS = 1000
_FLIPPED = 0x1111
_HEADER_BYTES = 8
_CHINA = timezone(timedelta(hours=8))
_CLOCK_OFF_S = 300.0
_LAST_MODE = 3


class Remark(NamedTuple):
    """What an acknowledgement has that is not usual: a failure of `clause`, or only different."""

    reason: str
    clause: Clause
    is_failed: bool
    arguments: Mapping[str, object] = MappingProxyType({})


class Side(Protocol):
    """One station's frames in one protocol. Frames are those of the codec; `raw` gives their bytes."""

    @property
    def link(self) -> Link:
        """How stations of this run talk."""
        ...

    @property
    def station(self) -> str:
        """The address we report as, ten hex digits."""
        ...

    def receiver(self) -> Any:
        """A new receiver: `feed(bytes)` gives frames."""
        ...

    def raw(self, frame: Any) -> bytes:
        """The frame as sent."""
        ...

    def login(self) -> bytes | None:
        """What a new connection begins with."""
        ...

    def idle(self) -> bytes:
        """A keep-alive."""
        ...

    def report(self, kind: Kind = Kind.TIMED, *, age_ms: int = 0) -> Any:
        """A new report, of a time that no other has."""
        ...

    def again(self, frame: Any) -> Any:
        """The same report once more: with its serial, or the next lower FCB."""
        ...

    def is_answer(self, answer: Any, frame: Any) -> bool:
        """Whether it acknowledges that report."""
        ...

    def is_link(self, answer: Any) -> bool:
        """Whether it answers a login or keep-alive."""
        ...

    def remarks(self, answer: Any, frame: Any) -> list[Remark]:
        """What is not as it must be, or not usual, in an acknowledgement."""
        ...

    def head(self) -> bytes:
        """The head of a frame of the greatest length."""
        ...


def damaged(data: bytes) -> bytes:
    """A frame with one wrong bit in its body."""
    at = len(data) * 2 // 3
    return data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]


class _Clock:
    """Slots in whole seconds that never come twice."""

    def __init__(self) -> None:
        self._last_ms = 0

    def next_ms(self) -> int:
        self._last_ms = max(self._last_ms + _SECOND_MS, time.time_ns() // 1_000_000 // _SECOND_MS * _SECOND_MS)
        return self._last_ms


class Sl651Side:
    """SL 651."""

    def __init__(self, link: Sl651Link) -> None:
        self.options = link.options
        self._own = link
        self._clock = _Clock()
        self._serial = 0

    @property
    def link(self) -> Sl651Link:
        """How stations of this run talk."""
        return self._own

    @property
    def station(self) -> str:
        """The address we report as."""
        return self.options.station.upper()

    def receiver(self) -> Any:
        """One encoding only."""
        return Sl651Receiver(encodings=(self.options.encoding,))

    def raw(self, frame: Any) -> bytes:
        """As sent."""
        data: bytes = frame.encode()
        return data

    def login(self) -> bytes | None:
        """None."""
        return None

    def idle(self) -> bytes:
        """2F."""
        return self.link.idle(self.options.station, max(1, self._serial), time.time_ns() // 1_000_000)

    def report(self, kind: Kind = Kind.TIMED, *, age_ms: int = 0) -> sl651.Frame:
        """With a new serial number."""
        self._serial += 1
        slot_ms = self._clock.next_ms() - age_ms
        content = content_of(0, slot_ms, kind=kind)
        if kind is Kind.UNIFORM:
            content = Content(kind=kind, slot_ms=slot_ms, samples=content.samples[:1], step_ms=300_000)
        return self.frames().report(
            FUNCTIONS[kind],
            serial=self._serial,
            sent=sent_digits(self._clock.next_ms(), self.options),
            parts=parts_of(content, self.options),
        )

    def frames(self) -> Sl651Frames:
        """What makes this station's frames."""
        options = self.options
        return Sl651Frames(
            centre=options.centre, station=options.station, password=options.password, encoding=options.encoding
        )

    def again(self, frame: Any) -> Any:
        """The same bytes."""
        return frame

    def forged(self, frame: sl651.Frame) -> sl651.Frame:
        """With another password."""
        return replace(frame, password=f"{int(frame.password, 16) ^ _FLIPPED:04X}")

    def is_answer(self, answer: Any, frame: Any) -> bool:
        """Same station, function and serial, whatever its end character; for LEN 0 station and function."""
        if answer.direction is not Direction.DOWN or answer.end is Control.ENQ:
            return False
        return confirms(replace(answer, end=Control.EOT), frame)

    def is_confirming(self, answer: Any) -> bool:
        """Whether it is an acknowledgement of anything."""
        return answer.direction is Direction.DOWN and answer.end is not Control.ENQ

    def is_link(self, answer: Any) -> bool:
        """A downlink of function 2F, which there must not be."""
        return answer.direction is Direction.DOWN and answer.function == 0x2F  # noqa: PLR2004 - keep-alive

    def remarks(self, answer: Any, frame: Any) -> list[Remark]:
        """Centre, password, end, length."""
        found = []
        if (answer.centre, answer.password) != (frame.centre, frame.password):
            arguments = {"centre": answer.centre, "password": answer.password}
            found.append(Remark("ack-header", Clause(SL651_SHEET, "9.1"), is_failed=True, arguments=arguments))
        found += self._end(answer, frame)
        if not answer.payload:
            found.append(Remark("ack-empty", Clause(SL651_SHEET, "3.3"), is_failed=False))
        elif header_of(answer) is None or len(answer.payload) not in {_HEADER_BYTES, 2 * _HEADER_BYTES}:
            size = len(answer.payload)
            found.append(Remark("ack-body", Clause(SL651, "6.6.1"), is_failed=True, arguments={"size": size}))
        elif answer.payload == frame.payload[: len(answer.payload)]:
            found.append(Remark("ack-echoes", Clause(SL651_SHEET, "9.1"), is_failed=False))
        else:
            found += self._sent(answer)
        return found

    def _sent(self, answer: Any) -> list[Remark]:
        header = header_of(answer)
        digits = "" if header is None else header.sent
        at = moment_of(digits, _CHINA)
        if at is None:
            return [Remark("ack-time", Clause(SL651, "6.6.2.5"), is_failed=True, arguments={"received": digits})]
        off_s = abs(at.timestamp() - time.time())
        if off_s <= _CLOCK_OFF_S:
            return []
        minutes = {"minutes": round(off_s / 60)}
        return [Remark("ack-clock", Clause(SL651_SHEET, "9.1"), is_failed=False, arguments=minutes)]

    def _end(self, answer: Any, frame: Any) -> list[Remark]:
        name = answer.end.name
        is_more = frame.end is Control.ETB
        if answer.end is Control.NAK:
            return [Remark("ack-nak", Clause(SL651, "6.2.2"), is_failed=True)]
        if is_more and answer.end is not Control.ACK:
            return [Remark("ack-end-etb", Clause(SL651, "6.2.2"), is_failed=True, arguments={"end": name})]
        if not is_more and answer.end is Control.ACK:
            return [Remark("ack-end", Clause(SL651_SHEET, "4"), is_failed=False, arguments={"end": name})]
        return []

    def head(self) -> bytes:
        """LEN 4095."""
        return self.link.oversize(self.options.station)


class Szy206Side:
    """SZY206 and SL/T 427."""

    def __init__(self, link: Szy206Link) -> None:
        self.options = link.options
        self._own = link
        self._clock = _Clock()

    @property
    def link(self) -> Szy206Link:
        """How stations of this run talk."""
        return self._own

    @property
    def station(self) -> str:
        """The address we report as."""
        return self.options.station.upper()

    def receiver(self) -> Any:
        """No images come from a platform."""
        return Szy206Receiver(images=False)

    def raw(self, frame: Any) -> bytes:
        """As sent."""
        data: bytes = frame.to_bytes()
        return data

    def login(self) -> bytes | None:
        """F0."""
        return self._link("F0 login")

    def idle(self) -> bytes:
        """F2."""
        return self._link("F2 keep-alive")

    def _link(self, word: str) -> bytes:
        body = compose({"link": word}, is_up=True, afn=Afn.LINK)
        return szy206.Frame(is_up=True, func=0, address=self.options.address, afn=Afn.LINK, body=body).to_bytes()

    def report(self, kind: Kind = Kind.TIMED, *, age_ms: int = 0) -> szy206.Frame:
        """Flow and volume alone, so that one frame is one report."""
        now_ms = self._clock.next_ms()
        content = content_of(0, now_ms - age_ms, kind=kind)
        flows = tuple(each for each in content.samples if each.quantity in {"flow_rate", "volume_withdrawn"})
        content = Content(kind=kind, slot_ms=content.slot_ms, samples=flows)
        return frames_of(content, self.options, now_ms=content.slot_ms)[0]

    def again(self, frame: Any) -> Any:
        """FCB one lower."""
        return frame.resent() or frame

    def is_answer(self, answer: Any, frame: Any) -> bool:
        """A confirm of its address and AFN."""
        return is_confirm_of(answer, frame, self.options.dialect)

    def is_link(self, answer: Any) -> bool:
        """A downlink with AFN 02."""
        return not answer.is_up and answer.afn == Afn.LINK

    def remarks(self, answer: Any, frame: Any) -> list[Remark]:
        """FCB, type code, time tag."""
        found = []
        if answer.fcb not in {frame.fcb, szy206.FIRST_FCB}:
            found.append(
                Remark("ack-fcb", Clause(SZY206_SHEET, "2.3"), is_failed=True,
                       arguments={"got": answer.fcb, "asked": frame.fcb})
            )  # fmt: skip
        if answer.fcb != frame.fcb:
            found.append(Remark("ack-fcb-3", Clause(SZY206_SHEET, "2.3"), is_failed=False))
        if answer.func not in {0, frame.func}:
            found.append(
                Remark("ack-func", Clause(SZY206_SHEET, "7.2"), is_failed=False, arguments={"got": answer.func})
            )
        fields = decode(answer, self.options.dialect)
        if fields.get("work_mode", 0) > _LAST_MODE:
            arguments = {"got": fields["work_mode"]}
            found.append(Remark("ack-mode", Clause(SZY206_SHEET, "7.3"), is_failed=True, arguments=arguments))
        has_tag = "tp" in fields
        if has_tag is not (self.options.edition is Edition.SLT427):
            reason = "ack-tag" if has_tag else "ack-no-tag"
            found.append(Remark(reason, Clause(SZY206_SHEET, "3"), is_failed=False))
        return found

    def head(self) -> bytes:
        """L 255."""
        return self.link.oversize(self.options.station)


def side_of(link: Link) -> Side:
    """The frames of a station of this link."""
    if isinstance(link, Sl651Link):
        return Sl651Side(link)
    assert isinstance(link, Szy206Link)
    return Szy206Side(link)
