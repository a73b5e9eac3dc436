"""What a simulated line is: a pseudo-terminal or a TCP port, and its manners."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedLineSettings:
    """A line has either `pty` (where the link to the port is put) or `tcp` (host and port; port 0: any free one).

    `framing` is `rtu` or `tcp`, by default what the medium usually carries. `latency_s`, `baud`, `parity` and
    `stop_bits` are for meters that have none of their own. Serial only: `strict`: requests that begin before the
    silence is over are dropped; `echo`: the adapter hears itself; `usb_timer_s`: it hands over what it received at
    the ticks of a latency timer. TCP only: `max_connections`.

    Raises:
        ValueError: both or neither of `pty` and `tcp`.
    """

    name: str
    pty: Path | None = None
    tcp: tuple[str, int] | None = None
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
        if (self.pty is None) == (self.tcp is None):
            raise ValueError(f"line {self.name}: either pty or tcp")
        if not self.framing:
            object.__setattr__(self, "framing", "rtu" if self.tcp is None else "tcp")
