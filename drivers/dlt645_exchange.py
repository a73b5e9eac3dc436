"""Asking a DL/T 645 meter: one planned question, and the state that recognises its answer. Pure.

Strategy: any sound frame that is ours is the answer, wherever it stands in what arrived; a sound frame that is not ours
is remembered and only told at the deadline, since a late reply to the question before may come in front of the right
one. Bytes that cannot belong to a frame any more are dropped, so that babble costs no time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heappop, heappush

from drivers.contract import (
    NEED_DATA,
    BadChecksum,
    Malformed,
    NeedData,
    NoValue,
    RawValue,
    Refusal,
    Refused,
    Reply,
    WireError,
    WrongAddress,
)
from drivers.dlt645_item import Dlt645Item
from drivers.dlt645_table import EDITION_1997, EDITION_2007, edition_of
from drivers.dlt645_values import cut, error_names
from drivers.dlt645_wire import (
    ERROR,
    FUNCTION,
    HEAD_SIZE,
    LEAST_SIZE,
    MORE,
    REPLY,
    START,
    WAKE,
    Candidate,
    address_text,
    frame_bytes,
    is_addressed,
)

READ = {EDITION_2007: 0x11, EDITION_1997: 0x01}
FOLLOW = {EDITION_2007: 0x12, EDITION_1997: 0x02}
LAST_FOLLOW = 255  # 2007: the frame number of a follow-up is one byte, the first follow-up is 1
LONGEST = LEAST_SIZE + 255
USUAL_WAKE = 4
_USUAL_PLACES = 5  # of an energy block: total and four tariffs


@dataclass(frozen=True)
class Dlt645Ask:
    """A read of `identifier`; `picks` are the items it serves, each with its place there.

    With `number` above 0 it is the follow-up of that number, after the data in `before`. `narrower`: what to ask
    instead when the meter refuses the block.
    """

    address: bytes
    identifier: str
    picks: tuple[tuple[Dlt645Item, int], ...]
    wake: int = USUAL_WAKE
    narrower: tuple[Dlt645Ask, ...] = ()
    number: int = 0
    before: bytes = b""

    @cached_property
    def items(self) -> tuple[Dlt645Item, ...]:
        """What it reads, in the order of the reply's values."""
        return tuple(item for item, _ in self.picks)

    @cached_property
    def edition(self) -> str:
        """`1997` or `2007`."""
        return edition_of(self.identifier)

    @cached_property
    def head(self) -> bytes:
        """The identifier as on the wire, lowest byte first."""
        return bytes.fromhex(self.identifier)[::-1]

    @cached_property
    def control(self) -> int:
        """The control code of the request."""
        return (FOLLOW if self.number else READ)[self.edition]

    @property
    def has_number(self) -> bool:
        """Whether request and reply end with the number of the follow-up."""
        return self.number > 0 and self.edition == EDITION_2007

    @cached_property
    def request(self) -> bytes:
        """The bytes on the wire, wake-up bytes included."""
        number = bytes([self.number]) if self.has_number else b""
        return bytes([WAKE]) * self.wake + frame_bytes(self.address, self.control, self.head + number)

    @property
    def request_size(self) -> int:
        """Bytes of the request."""
        return len(self.request)

    @property
    def reply_size(self) -> int:
        """Bytes of a usual reply; its wake-up bytes are as many as ours."""
        places = 1 + max(place for _, place in self.picks)
        if self.narrower and self.identifier.startswith(("00", "901")):
            places = max(places, _USUAL_PLACES)
        return self.wake + LEAST_SIZE + len(self.head) + places * self.picks[0][0].size

    def begin(self, number: int) -> Dlt645Exchange:  # noqa: ARG002 - this protocol numbers nothing
        """A new exchange."""
        return Dlt645Exchange(self)

    def parts(self) -> tuple[Dlt645Ask, ...]:
        """The single questions instead of the block; itself alone when it is one."""
        return self.narrower or (self,)

    def following(self, data: bytes) -> Dlt645Ask:
        """The question for the next frame, after `data` (all there is so far, without identifier and number)."""
        return replace(self, number=self.number + 1, before=data)

    def values(self, data: bytes) -> tuple[RawValue, ...]:
        """The values of all items in `data`; a block may be shorter than it could be."""
        found = cut(data, self.picks[0][0].size, 0, has_ends=self.edition == EDITION_1997)[0]
        return tuple(
            item.decode(found[place]) if place < len(found) else NoValue.NOT_AVAILABLE for item, place in self.picks
        )

    def is_satisfied(self, data: bytes) -> bool:
        """Whether all items are in `data`."""
        found = cut(data, self.picks[0][0].size, 0, has_ends=self.edition == EDITION_1997)[0]
        return all(place < len(found) for _, place in self.picks)


class Dlt645Exchange:
    """One question. The frame is found behind any noise; what is not ours is never taken."""

    def __init__(self, ask: Dlt645Ask) -> None:
        self.request = ask.request
        self._ask = ask
        self._sifter = Sifter()

    @property
    def want(self) -> int:
        """Bytes in total after which asking again makes sense."""
        return self._sifter.want or self._ask.reply_size

    def receive(self, data: bytes) -> Reply | NeedData:
        """Our frame if it is complete and sound. Raises Refused for a sound refusal of ours."""
        for frame in self._sifter.frames(data):
            error = self._foreign(frame)
            if error is None:
                return self._reply(frame)
            self._sifter.error = self._sifter.error or error
        return NEED_DATA

    def end(self) -> WireError | None:
        """What the bytes prove at the deadline."""
        return self._sifter.end()

    def _foreign(self, frame: Candidate) -> WireError | None:
        """Why a sound frame is not the answer to this question; None when it is."""
        ask, heard, control = self._ask, frame.raw, frame.control
        assert control is not None
        if not control & REPLY:
            detail = "our own request came back: the adapter echoes" if heard in self.request else "another master"
            return Malformed(detail, heard)
        if not is_addressed(ask.address, frame.address):
            asked = f"{address_text(frame.address)} answered, {address_text(ask.address)} was asked"
            return WrongAddress(asked, heard)
        if control & FUNCTION != ask.control:
            return Malformed(f"control code {control:02X}, expected {ask.control | REPLY:02X}", heard)
        if control & ERROR:
            return None if frame.data else Malformed("a refusal without its reason", heard)
        return self._unfit(frame)

    def _unfit(self, frame: Candidate) -> WireError | None:
        """Why an answer to a read is not to this one."""
        ask, own = self._ask, frame.data[: len(self._ask.head)]
        if own != ask.head:
            came = own[::-1].hex().upper()
            return Malformed(f"identifier {came} came, {ask.identifier} was asked: a late answer?", frame.raw)
        if ask.has_number and frame.data[len(own) :][-1:] != bytes([ask.number]):
            return Malformed(f"not the follow-up frame {ask.number}", frame.raw)
        control, rest = frame.control or 0, len(frame.data) - len(own)
        if not ask.number and not control & MORE and rest < ask.picks[0][0].size:
            return Malformed(f"{rest} bytes of value, {ask.picks[0][0].size} are expected", frame.raw)
        return None

    def _reply(self, frame: Candidate) -> Reply:
        ask, control = self._ask, frame.control or 0
        if control & ERROR:
            raise refused(ask.edition, frame, Refusal.NARROWER if ask.narrower else Refusal.NEVER)
        data = frame.data[len(ask.head) :]
        data = ask.before + (data[:-1] if ask.has_number else data)
        goes_on = control & MORE and ask.number < LAST_FOLLOW and not ask.is_satisfied(data)
        return Reply(ask.values(data), frame.raw, ask.following(data) if goes_on else None)


class Sifter:
    """Finds sound frames in a stream and remembers what the rest proves.

    Every place where a frame may begin is looked at when its length is known, and once more when its last byte has
    come: neither time nor memory grow with what was received before.
    """

    def __init__(self) -> None:
        self.error: WireError | None = None  # a sound frame that was not the answer
        self._buffer = b""
        self._dropped = 0  # bytes before the buffer
        self._scanned = 0  # up to there, counted from the first byte of all, every beginning is known
        self._open: list[tuple[int, int]] = []  # end and begin of candidates not complete yet: a heap
        self._is_spoilt = False

    @property
    def _total(self) -> int:
        return self._dropped + len(self._buffer)

    @property
    def want(self) -> int:
        """Bytes in total after which a frame may be complete; 0 before anything came."""
        if not self._total:
            return 0
        begun = self._buffer.find(START, max(0, self._scanned - self._dropped))
        ends = [self._open[0][0]] if self._open else []
        ends += [self._dropped + begun + LEAST_SIZE] if begun >= 0 else []
        return max(min(ends, default=self._total + LEAST_SIZE), self._total + 1)

    def frames(self, data: bytes) -> Iterator[Candidate]:
        """The sound frames that `data` completes, in the order of their ends."""
        for start in range(0, len(data), LONGEST):
            yield from self._frames(data[start : start + LONGEST])

    def _frames(self, data: bytes) -> Iterator[Candidate]:
        self._buffer += data
        self._discover()
        while self._open and self._open[0][0] <= self._total:
            end, begin = heappop(self._open)
            low, high = begin - self._dropped, end - self._dropped
            each = Candidate(low, self._buffer[low:high])
            if each.is_sound:
                yield each
            else:
                self._is_spoilt = True
        surplus = len(self._buffer) - LONGEST
        if surplus > 0:
            self._dropped += surplus
            self._buffer = self._buffer[surplus:]

    def _discover(self) -> None:
        """Notes every beginning whose length is there."""
        last = len(self._buffer) - HEAD_SIZE
        at = self._buffer.find(START, max(0, self._scanned - self._dropped), max(0, last + 1))
        while at >= 0:
            if self._buffer[at + 7] == START:
                begin = self._dropped + at
                heappush(self._open, (begin + LEAST_SIZE + self._buffer[at + 9], begin))
            at = self._buffer.find(START, at + 1, last + 1)
        self._scanned = max(self._scanned, self._dropped + last + 1)

    def end(self) -> WireError | None:
        """What all of it proves: a foreign frame, a wrong check sum, no frame, or nothing came."""
        total = self._total
        if not total or self.error is not None:
            return self.error
        if self._is_spoilt:
            return BadChecksum("frame of the right shape, check sum or end does not fit", self._buffer)
        return Malformed(f"{total} bytes, no whole frame among them", self._buffer)


def refused(edition: str, frame: Candidate, kind: Refusal) -> Refused:
    """The refusal in a sound error frame."""
    err = frame.data[0]
    names = " ".join(error_names(edition, err)) or "no reason"
    return Refused(err, kind, f"error {err:02X}: {names}", frame.raw)
