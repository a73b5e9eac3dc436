"""What a simulated line is: a pseudo-terminal, a TCP port or a DTU that dials in, and its manners."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDtu:
    """A DTU that dials `server` (host and port), sends `registration`, and `heartbeat` `every_s` seconds.

    `redial_s` passes before it dials again; `air_s` is how long anything is in the air, each way; every `drop_s`
    seconds (None: never) its connection breaks. `behaviour` names what else it does (`station_form.Behaviour`).
    """

    server: tuple[str, int]
    registration: bytes = b""
    heartbeat: bytes = b""
    every_s: float = 30.0
    redial_s: float = 1.0
    air_s: float = 0.05
    drop_s: float | None = None
    behaviour: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedLineSettings:
    """A line has `pty` (where the link to the port is put), `tcp` (host and port; port 0: any free one) or `dial_in`.

    `framing` is `rtu` or `tcp`, by default what the medium usually carries. `latency_s`, `baud`, `parity` and
    `stop_bits` are for meters that have none of their own. Serial only: `strict`: requests that begin before the
    silence is over are dropped; `echo`: the adapter hears itself; `usb_timer_s`: it hands over what it received at
    the ticks of a latency timer. TCP only: `max_connections`.

    Raises:
        ValueError: none or several of `pty`, `tcp` and `dial_in`.
    """

    name: str
    pty: Path | None = None
    tcp: tuple[str, int] | None = None
    dial_in: SimulatedDtu | None = None
    framing: str = ""
    latency_s: float = 0.005
    baud: int = 9600
    parity: str = "none"  # none, even or odd
    stop_bits: int = 1
    strict: bool = False
    echo: bool = False
    usb_timer_s: float | None = None
    max_connections: int | None = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.pty, self.tcp, self.dial_in)) != 1:
            raise ValueError(f"line {self.name}: one of pty, tcp and dial_in")
        if not self.framing:
            object.__setattr__(self, "framing", "rtu" if self.tcp is None else "tcp")
