"""What the configuration and the profiles say, as plain frozen data: named, resolved, in units. Pure.

`config.py` and `profiles.py` make these from YAML; whoever only uses them needs neither YAML nor pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a station does not have need not be loaded to judge its file
    from agent.archive.record import Archive
    from agent.dtu import Pattern
    from agent.entries import Entry, Mark
    from agent.intakes.settings import IntakeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTest:
    """Frames and what they must decode to. `origin` is `captured` (the note says where) or `constructed` by hand."""

    exchanges: tuple[tuple[bytes, bytes], ...]
    expect: Mapping[str, str | tuple[str, ...] | None]
    origin: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialSettings:
    """How a meter is spoken to on a serial port: baud, parity (`none even odd`), stop bits."""

    baud: int = 9600
    parity: str = "none"
    stop_bits: int = 1

    def __str__(self) -> str:
        return f"{self.baud} 8{self.parity[0].upper()}{self.stop_bits}"  # as meters' manuals write it: 2400 8E1


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A model of meter. `tested` is `document`, `captured` or `field`; `version` is 8 hex of its content's SHA-256.
    `title` and `unconfirmed` (what must be compared with the display on site; may be empty) are by language;
    `doubtful` are the quantities that are UNCONFIRMED until then; `identify` gives the model away to a scan.
    `line` is what the maker ships; `silence_ms` is added to the protocol's own silence; `limits` are for `Driver.plan`.
    """

    name: str
    title: Mapping[str, str]
    source: str
    tested: str
    unconfirmed: Mapping[str, str]
    protocol: str
    line: SerialSettings
    silence_ms: int
    limits: Mapping[str, Any]
    entries: tuple[Entry, ...]
    tests: tuple[FrameTest, ...]
    version: str
    text: str = field(repr=False)
    doubtful: tuple[str, ...] = ()
    identify: tuple[Mark, ...] = ()

    def entry(self, quantity: str) -> Entry | None:
        """The entry of that quantity."""
        return next((entry for entry in self.entries if entry.quantity == quantity), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Who we are: `id` in topics, `name` for people, IANA `timezone`, and when the water day begins there.

    A quarter's volumes are to be verified on day `quarter_verify_days` of the next one at the latest; from each of
    `quarter_remind_days` on people are told that it is not frozen yet.
    """

    id: str
    name: str
    timezone: str
    day_start: time
    quarter_verify_days: int = 15
    quarter_remind_days: tuple[int, ...] = (10, 13)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where readings are kept, how long (s), and the limits of the database and of the free disk (bytes)."""

    path: str
    keep_s: int
    max_size: int
    free_disk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSettings:
    """Whose word on the time is taken: `ntp`, `rtc` or `host`."""

    trust: str


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Host name or IP address, and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialInSettings:
    """A DTU that connects to us at `listen` and says who it is with `registration` (None: whoever connects there).

    `heartbeat` is what it sends to show that it lives. The answers are what it expects to each; b"" for nothing.
    """

    listen: TcpAddress
    registration: Pattern | None
    heartbeat: Pattern | None
    registration_answer: bytes
    heartbeat_answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """One serial `port`, one `tcp` endpoint or one DTU that dials in, exactly one. `framing` is `rtu` or `tcp`.

    `baud`, `parity`, `stop_bits` are the line's own; each meter carries what holds for it. `silence_ms` is added to
    the protocol's silence for every meter.
    """

    name: str
    port: str | None
    tcp: TcpAddress | None
    framing: str
    baud: int
    parity: str
    stop_bits: int
    echo: bool
    rs485: bool
    timeout_s: float
    silence_ms: int
    dial_in: DialInSettings | None = None

    @property
    def place(self) -> str:
        """The device path, or `host:port` to connect to or to listen on."""
        return self.port or str(self.tcp if self.dial_in is None else self.dial_in.listen)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSettings:
    """A meter on a line. `baud`, `parity`, `stop_bits`, `silence_ms` are resolved: the meter's own, else the line's,
    else the profile's; `has_own_serial` when the meter itself says one of the first three. `quantities` are those to
    read, in the profile's order.
    """

    name: str
    line: str
    profile: str
    address: str
    poll_ms: int
    baud: int
    parity: str
    stop_bits: int
    silence_ms: int
    has_own_serial: bool
    quantities: tuple[str, ...]

    @property
    def serial(self) -> SerialSettings:
        """How it is spoken to on a serial port."""
        return SerialSettings(baud=self.baud, parity=self.parity, stop_bits=self.stop_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualMeter:
    """A meter that hangs on no line: people read its `quantities`, normally every `period_ms`."""

    name: str
    quantities: tuple[str, ...]
    period_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration that passed every check. `profiles` holds those that the meters name; `text` is the file.

    `meters` are polled, `manual` are read by people; no name is in both, nor is an intake's. `archives` are the
    metering archives by intake, of those that have one.
    """

    station: Station
    store: StoreSettings
    clock: ClockSettings
    lines: Mapping[str, LineSettings]
    meters: Mapping[str, MeterSettings]
    uplinks: Mapping[str, Any]
    profiles: Mapping[str, Profile]
    text: str = field(repr=False)
    manual: Mapping[str, ManualMeter] = field(default_factory=lambda: MappingProxyType({}))
    intakes: Mapping[str, IntakeSettings] = field(default_factory=lambda: MappingProxyType({}))
    archives: Mapping[str, Archive] = field(default_factory=lambda: MappingProxyType({}))

    def quantities(self, meter: str) -> tuple[str, ...]:
        """What that meter tells, polled or read by hand. Raises KeyError when there is none of that name."""
        return self.meters[meter].quantities if meter in self.meters else self.manual[meter].quantities

    def entries(self, meter: str) -> tuple[Entry, ...]:
        """The profile entries that are read from this meter."""
        settings = self.meters[meter]
        entries = self.profiles[settings.profile].entries
        return tuple(entry for entry in entries if entry.quantity in settings.quantities)
