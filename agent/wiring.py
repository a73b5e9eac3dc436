"""From settings to working parts: lines, their meters, their costs. The CLI builds a line from it without a daemon."""

from __future__ import annotations

from agent.clock import Clock
from agent.decode import bundles
from agent.line.dial_in import DialInPort
from agent.line.line import Line
from agent.line.listening import DialIns
from agent.line.meter import PolledMeter
from agent.line.ports import Port, SerialPort, TcpPort, WireSettings
from agent.settings import Config, LineSettings, MeterSettings, Profile
from drivers.contract import WireCost
from drivers.registry import DRIVERS

_TURNAROUND_S = 0.02  # a typical meter's answer delay, for planning only; the line measures each meter's own
_FIXED_CHARACTERS = 13  # of a Modbus read: eight asked, five around the answer's data
_REGISTER_CHARACTERS = 2
_TCP_COST = WireCost()
_AIR_S = 0.3  # there and back over a cellular network, for planning only
_LEAST_LATE_S, _LATE_TIMEOUTS = 1.0, 2.0  # how late an answer may come: decision 0001


def wire_of(meter: MeterSettings) -> WireSettings:
    """How that meter is spoken to."""
    return WireSettings(
        baud=meter.baud,
        parity=meter.parity,
        stop_bits=meter.stop_bits,
        extra_silence_s=meter.silence_ms / 1000,
    )


def cost_of(line: LineSettings, wire: WireSettings) -> WireCost:
    """What a request and a register cost there, in seconds."""
    if line.framing == "tcp":
        return _TCP_COST
    return WireCost(
        character_s=wire.character_s,
        request_s=_FIXED_CHARACTERS * wire.character_s
        + _TURNAROUND_S
        + 2 * wire.silence_s
        + (0.0 if line.dial_in is None else _AIR_S),
        register_s=_REGISTER_CHARACTERS * wire.character_s,
    )


def make_line(
    settings: LineSettings, *, clock: Clock, dial_ins: DialIns | None = None, patience_s: float = 0.0
) -> Line:
    """The line, not opened yet. A DTU that dials in is met through `dial_ins`; opening waits `patience_s` for it."""
    strainer = None
    if settings.port is not None:
        port: Port = SerialPort(settings.port, rs485=settings.rs485)
    elif settings.tcp is not None:
        port = TcpPort(settings.tcp.host, settings.tcp.port)
    else:
        assert settings.dial_in is not None
        assert dial_ins is not None, "who makes lines listens for their DTUs"
        dtu = dial_ins.dtu(settings.dial_in)
        late_s = max(_LEAST_LATE_S, _LATE_TIMEOUTS * settings.timeout_s)
        port, strainer = DialInPort(dtu, late_s=late_s, patience_s=patience_s), dtu.strainer
    return Line(
        port,
        clock=clock,
        numbered=settings.framing == "tcp",
        echo=settings.echo,
        timeout_s=settings.timeout_s,
        air=strainer,
    )


def make_meters(config: Config, line: LineSettings) -> list[PolledMeter]:
    """The meters of that line with their planned requests, in the order of the file."""
    made = []
    for meter in config.meters.values():
        if meter.line != line.name:
            continue
        profile = config.profiles[meter.profile]
        entries = config.entries(meter.name)
        wire = wire_of(meter)
        driver = DRIVERS[profile.protocol](framing=line.framing, cost=cost_of(line, wire))
        made.append(
            PolledMeter(
                name=meter.name,
                profile=profile.name,
                version=profile.version,
                protocol=profile.protocol,
                address=meter.address,
                wire=wire,
                serial=_serial_evidence(line, meter, profile),
                period_ms=meter.poll_ms,
                entries=entries,
                asks=driver.plan(meter.address, bundles(entries), profile.limits),
            )
        )
    return made


def _serial_evidence(line: LineSettings, meter: MeterSettings, profile: Profile) -> dict[str, str]:
    """What silence should be seen with: baud and parity, and how the maker ships such a meter where that is other.

    Nothing on a network, where the serial server or the DTU keeps them.
    """
    if line.port is None:
        return {}
    used = {"baud": str(meter.baud), "parity": meter.parity}
    return used if meter.serial == profile.line else {**used, "factory": str(profile.line)}
