"""What every simulated centre is made of: a dialogue without I/O for each connection, and what they have in common.

Strategy: a dialogue takes bytes and the time and gives a `Turn`: events to be kept, parcels to be sent. It knows its
protocol and nothing of sockets, files and people. What a centre remembers of its stations outlives connections and is
shared by all dialogues of a centre. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, Protocol

from simulators.platforms.centre.behaviour import NORMAL, Ack, Plan

GARBAGE_S = 5.0  # bytes that wait so long for their rest are no frame
_PIECE_GAP_S = 0.005
_MOST_STATIONS = 100_000
_MOST_ASKED = 100  # orders that wait on one connection
_MOST_RECENT = 16  # reports of a station whose serial numbers are remembered
_MOST_PROOF = 1024  # bytes kept with a finding


class Moment(NamedTuple):
    """When something happens: seconds of a monotonic clock, and the centre's own aware time."""

    s: float
    at: datetime

    @property
    def zone(self) -> timezone:
        """The zone of the centre's time."""
        return zone_of(self.at)


def zone_of(at: datetime) -> timezone:
    """The offset of an aware time."""
    return timezone(at.utcoffset() or timedelta())


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A sound frame came."""

    station: str
    function: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A station reported. `key` is the same in repeats; `serial` SL 651's serial number, SZY206's FCB.

    `observed` and `sent` are ISO texts without zone, "" where there is none; `values` what was reported by name,
    `fields` everything the frame says.
    """

    key: str
    station: str
    function: str
    serial: int
    observed: str
    sent: str
    values: Mapping[str, Any]
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """The centre asks or orders."""

    order: int
    station: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A station answered an order."""

    order: int
    station: str
    function: str
    fields: Mapping[str, Any]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """All tries of an order went without an answer."""

    order: int
    station: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """Something that breaks a rule (`is_failed`), or differs from what the sheet marks as uncertain.

    `code` has a sentence; `clause` names the rule: a clause or table of the standard, else `sheet §n`; `data` are the
    bytes that show it.
    """

    station: str
    code: str
    clause: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_failed: bool = True
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A station showed that it is there: keep-alive, login, logout."""

    station: str
    word: str


Event = Heard | Report | Posed | Answered | Unanswered | Wrong | Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """Bytes to be sent at `at_s` or later, each piece in a segment of its own, `gap_s` between them.

    `about` is the key of the report it answers, `settles` the keys of those it acknowledges, once all of it has gone.
    `ends`: "close" or "reset" the connection behind it.
    """

    station: str
    name: str
    pieces: tuple[bytes, ...]
    at_s: float
    gap_s: float = 0.0
    about: str = ""
    settles: tuple[str, ...] = ()
    ends: str = ""

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


@dataclass(slots=True)
class Turn:
    """What a dialogue wants kept and sent, in order."""

    events: list[Event] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)

    def proved(self, first: int, data: bytes) -> None:
        """Gives the findings from event `first` on the bytes that show them, where they have none."""
        for at, event in enumerate(self.events[first:], first):
            if isinstance(event, Wrong) and not event.data:
                self.events[at] = replace(event, data=data[:_MOST_PROOF])


@dataclass(slots=True)
class Known:
    """What the centre remembers of a station: its last reports and its own count of acknowledgements."""

    previous_key: str = ""
    previous_serial: int = 0
    last_key: str = ""
    last_serial: int = 0
    acks: int = 0
    password: str = ""
    recent: dict[str, int] = field(default_factory=dict)  # report's key to its serial number
    acknowledged: set[str] = field(default_factory=set)  # of them
    has_gap: bool = False

    def reported(self, key: str, serial: int) -> None:
        """Another report, or the same once more."""
        if key != self.last_key:
            self.previous_key, self.previous_serial = self.last_key, self.last_serial
            self.last_key, self.last_serial = key, serial
        if key not in self.recent and len(self.recent) >= _MOST_RECENT:
            oldest = next(iter(self.recent))
            del self.recent[oldest]
            self.acknowledged.discard(oldest)
        self.recent[key] = serial


@dataclass(slots=True)
class Memory:
    """What all dialogues of a centre share. `options` are its protocol's, those of the last dialogue made."""

    plan: Plan = (NORMAL,)
    options: Any = None
    orders: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _stations: dict[str, Known] = field(default_factory=dict)

    def of(self, station: str) -> Known:
        """What is known of a station; the oldest is forgotten when there are too many."""
        if station not in self._stations and len(self._stations) >= _MOST_STATIONS:
            del self._stations[next(iter(self._stations))]
        return self._stations.setdefault(station, Known())

    def next_ack(self, station: str) -> Ack:
        """The acknowledgement that is this station's turn."""
        known = self.of(station)
        known.acks += 1
        return self.plan[(known.acks - 1) % len(self.plan)]


class Downlink(Protocol):
    """An order, understood and not yet addressed."""

    @property
    def name(self) -> str:
        """The words it was asked for by."""
        ...


class CentreDialogue(Protocol):
    """The centre's side of one connection. Every call gives what to keep and send now; none waits."""

    station: str
    """The station that spoke last; "" before a sound frame came."""

    def receive(self, data: bytes, now: Moment) -> Turn:
        """Takes what arrived, in any pieces. Memory and time are bounded whatever comes."""
        ...

    def ask(self, downlink: Any, now: Moment) -> Turn:
        """Sends an order, or keeps it until the one before is answered. Raises OrderError."""
        ...

    def tick(self, now: Moment) -> Turn:
        """Called at `deadline_s` or later: repeats orders, gives up half a frame."""
        ...

    def end(self, now: Moment) -> Turn:
        """The station ended the connection: what is said of that. Nothing is sent any more."""
        ...

    @property
    def deadline_s(self) -> float:
        """When `tick` is due, infinity when nothing is waited for."""
        ...


def parcels_of(
    frames: Sequence[bytes],
    ack: Ack,
    now: Moment,
    *,
    station: str,
    about: str = "",
    settles: tuple[str, ...] = (),
) -> list[Parcel]:
    """Frames on their way as `ack` says: when, in which pieces, with which end; once more where it says so."""
    data = b"".join(frames)
    if ack.ends:
        data = data[: len(data) // 2]
    pieces = {"whole": (data,), "bytes": tuple(bytes([each]) for each in data), "parts": _parts(data)}[ack.pieces]
    parcel = Parcel(
        station=station,
        name=f"ack {ack.words}",
        pieces=pieces,
        at_s=now.s + ack.late_s,
        gap_s=0.0 if len(pieces) == 1 else _PIECE_GAP_S,
        about=about,
        settles=settles,
        ends=ack.ends,
    )
    return [parcel] if ack.again_s is None else [parcel, replace(parcel, at_s=parcel.at_s + ack.again_s)]


def _parts(data: bytes) -> tuple[bytes, ...]:
    """Three pieces, the first within the head, the last within the check."""
    return data[:5], data[5:-1], data[-1:]


def spoilt(data: bytes) -> bytes:
    """The bytes of a frame whose check does not fit: SL 651 ends with it, SZY206 has it before the last."""
    at = len(data) - (2 if data[:1] == b"\x68" else 1)
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


@dataclass(slots=True)
class Pending:
    """An order on its way: how often it was sent, until when its answer is waited for."""

    order: int
    downlink: Any
    tries: int = 0
    until_s: float = 0.0


def is_full(waiting: Sequence[object]) -> bool:
    """Whether no further order may wait on a connection."""
    return len(waiting) >= _MOST_ASKED
