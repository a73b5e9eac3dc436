"""Whom a scan or a probe asks: the running daemon where it polls that line, else a line of its own, locked as ever."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.client import Site
from agent.clock import Clock
from agent.control import ControlError, DaemonAwayError
from agent.line.asking import Asking, DirectAsking, Heard, Whom
from agent.line.line import Line
from agent.line.ports import SerialPort, TcpPort, WireSettings
from agent.settings import Config, LineSettings, SerialSettings, TcpAddress
from drivers.contract import Ask, Exchange, Reply, WireError

_QUEUE_S = 60.0  # a full bus lets one question in every half minute
_LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line as somebody named it: its settings, and whether the configuration has it."""

    line: LineSettings
    is_configured: bool


def place_of(named: str, config: Config | None, *, framing: str | None = None) -> Place | None:
    """The line called `named`, or whose port or endpoint that is; else a port or `host:port` of its own.

    None when it is neither a line nor anything that could be a port.
    """
    for line in config.lines.values() if config is not None else ():
        if named == line.name or _is_same(named, line.place):
            return Place(line=line, is_configured=True)
    host, colon, number = named.rpartition(":")
    if "/" not in named and colon and number.isdigit():
        tcp = TcpAddress(host.strip("[]"), int(number))
        return Place(line=_bare_line(None, tcp, framing or "tcp"), is_configured=False)
    if "/" in named:
        return Place(line=_bare_line(named, None, "rtu"), is_configured=False)
    return None


def _is_same(named: str, place: str) -> bool:
    return named == place or ("/" in named and "/" in place and Path(named).resolve() == Path(place).resolve())


def _bare_line(port: str | None, tcp: TcpAddress | None, framing: str) -> LineSettings:
    serial = SerialSettings()
    return LineSettings(
        name="rs485-1" if tcp is None else "lan-1",
        port=port,
        tcp=tcp,
        framing=framing,
        baud=serial.baud,
        parity=serial.parity,
        stop_bits=serial.stop_bits,
        echo=False,
        rs485=False,
        timeout_s=1.0,
        silence_ms=0,
    )


def wire_of(serial: SerialSettings, line: LineSettings) -> WireSettings:
    """How a meter with these settings is spoken to on that line."""
    return WireSettings(
        baud=serial.baud,
        parity=serial.parity,
        stop_bits=serial.stop_bits,
        extra_silence_s=line.silence_ms / 1000,
    )


def asking_for(place: Place, site: Site, *, clock: Clock) -> Asking:
    """Who asks there. Opens nothing yet.

    Raises:
        PermissionError: a daemon runs and this user may not ask it.
        ControlError: DTU_NEEDS_AGENT, as a DTU dials in to the daemon.
    """
    line = place.line
    if place.is_configured:
        try:
            lines = site.ask("status")["lines"]
        except DaemonAwayError:
            lines = {}
        if line.name in lines:
            return DaemonAsking(site, line, busy=float(lines[line.name]["busy"]))
    if line.dial_in is not None:
        raise ControlError("DTU_NEEDS_AGENT", line=line.name)
    port = SerialPort(line.port, rs485=line.rs485) if line.port is not None else _tcp_port(line)
    own = Line(port, clock=clock, numbered=line.framing == "tcp", echo=False, timeout_s=line.timeout_s)
    return DirectAsking(own, port, framing=line.framing)


def _tcp_port(line: LineSettings) -> TcpPort:
    assert line.tcp is not None, "a line has a port or an endpoint"
    return TcpPort(line.tcp.host, line.tcp.port)


class DaemonAsking:
    """Has the running daemon ask, between its own polls."""

    is_guest = True

    def __init__(self, site: Site, line: LineSettings, *, busy: float) -> None:
        self.framing = line.framing
        self.is_serial = line.port is not None
        self.share = max(_LEAST_SHARE, 1.0 - busy)
        self._site = site
        self._line = line.name
        self._number = 0

    def ask(self, ask: Ask, whom: Whom, *, wait_s: float) -> Heard:
        """One question through the control socket. Raises ControlError."""
        self._number += 1
        exchange, wire = ask.begin(self._number), whom.wire
        told: dict[str, Any] = self._site.ask(
            "ask",
            {
                "line": self._line,
                "protocol": whom.protocol,
                "request": exchange.request.hex(),
                "address": whom.address,
                "baud": wire.baud,
                "parity": wire.parity,
                "stop_bits": wire.stop_bits,
                "silence_ms": round(wire.extra_silence_s * 1000),
                "wait_ms": round(wait_s * 1000),
            },
            timeout_s=wait_s + _QUEUE_S,
        )
        number, received = self._number, bytes.fromhex(told["received"])
        if self.framing == "tcp":  # the daemon has numbered it anew
            number = int(told["number"])
            exchange = ask.begin(number)
        reply, error = _judged(exchange, received)
        return Heard(
            reply=reply,
            error=error,
            number=number,
            request=exchange.request,
            received=received,
            delay_s=float(told["delay_s"]),
        )

    def listen(self, wire: WireSettings, seconds: float) -> bytes:  # noqa: ARG002 - others ask on this line
        """Nothing."""
        return b""

    def close(self) -> None:
        """The daemon keeps its line."""


def _judged(exchange: Exchange, received: bytes) -> tuple[Reply | None, WireError | None]:
    try:
        reply = exchange.receive(received)
    except WireError as error:
        return None, error
    return (reply, None) if isinstance(reply, Reply) else (None, exchange.end())
