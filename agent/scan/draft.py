"""A configuration with the meters that a scan has found, as YAML that `qushui check` accepts. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.scan.found import FoundMeter
from agent.settings import SerialSettings

_NAME_MOST = 32
_SLOW_S = 0.5  # a meter slower than that needs a longer timeout than the default of 1 s, with some reserve
_SLOW_FACTOR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLine:
    """The line as far as it is known: exactly one of `port` and `tcp` (`host:port`)."""

    name: str
    port: str | None
    tcp: str | None
    framing: str
    echo: bool = False
    rs485: bool = False


def draft(
    meters: Sequence[FoundMeter],
    line: DraftLine,
    *,
    station: str,
    note: Callable[..., str],
    names: Callable[[FoundMeter], str | None],
) -> str | None:
    """The file's text; None when no meter's profile is known, as a configuration needs one.

    `note(code, **arguments)` gives the comments, `names` what a meter is called already.
    """
    known = [meter for meter in _first_of_each(meters) if meter.best is not None]
    if not known:
        return None
    serial = Counter(meter.serial for meter in known).most_common(1)[0][0]
    lines = [
        f"# {note('head')}",
        f"station: {{id: {station}}}",
        "lines:",
        f"  {line.name}: {{{_line(line, serial, known)}}}",
    ]
    lines.append("meters:")
    taken: set[str] = set()
    for meter in known:
        lines += _meter(meter, line, serial, name=_name(meter, names(meter), taken), note=note)
    for meter in meters:
        if meter not in known:
            code = "unknown" if meter.best is None else "same_address"
            lines.append(f"# {note(code, address=meter.address, baud=meter.serial.baud, parity=meter.serial.parity)}")
    return "\n".join(lines) + "\n"


def _first_of_each(meters: Sequence[FoundMeter]) -> list[FoundMeter]:
    """One meter for each protocol and address: more of them cannot share a line."""
    found: dict[tuple[str, str], FoundMeter] = {}
    for meter in meters:
        found.setdefault((meter.protocol, meter.address), meter)
    return list(found.values())


def _line(line: DraftLine, serial: SerialSettings, meters: Sequence[FoundMeter]) -> str:
    parts = [f"port: {_text(line.port)}"] if line.port is not None else [f"tcp: {json.dumps(line.tcp)}"]
    if line.port is None and line.framing == "rtu":
        parts.append("framing: rtu")
    if line.port is not None:
        parts += _serial(serial, None)
    if line.echo:
        parts.append("echo: true")
    if line.rs485:
        parts.append("rs485: true")
    slowest_s = max(meter.delay_s for meter in meters)
    if slowest_s >= _SLOW_S:
        parts.append(f"timeout: {_SLOW_FACTOR * slowest_s:.0f}s")
    return ", ".join(parts)


def _serial(serial: SerialSettings, other: SerialSettings | None) -> Iterator[str]:
    """The settings that differ from `other`'s; all of them without it, except one stop bit."""
    if other is None or serial.baud != other.baud:
        yield f"baud: {serial.baud}"
    if other is None or serial.parity != other.parity:
        yield f"parity: {serial.parity}"
    if serial.stop_bits != (1 if other is None else other.stop_bits):
        yield f"stop_bits: {serial.stop_bits}"


def _meter(
    meter: FoundMeter, line: DraftLine, serial: SerialSettings, *, name: str, note: Callable[..., str]
) -> Iterator[str]:
    best = meter.best
    assert best is not None, "only meters whose profile is known are drafted"
    own = [] if line.port is None else [*_serial(meter.serial, serial)]
    parts = [
        f"line: {line.name}",
        f"profile: {best.profile}",
        f"address: {json.dumps(meter.address)}",
        "poll: 60s",
        *own,
    ]
    others = [each.profile for each in meter.candidates[1:]]
    if others:
        yield f"  # {note('others', profiles=' '.join(others))}"
    yield f"  {name}: {{{', '.join(parts)}}}"


def _name(meter: FoundMeter, known: str | None, taken: set[str]) -> str:
    best = meter.best
    assert best is not None, "only meters whose profile is known are drafted"
    tail = f"-{meter.address.lower()[-12:]}"
    name = known or best.profile[: _NAME_MOST - len(tail)] + tail
    number = 2
    while name in taken:
        name = f"{name[: _NAME_MOST - 4]}-{number}"
        number += 1
    taken.add(name)
    return name


def _text(value: str | None) -> str:
    """A path as YAML: plain where it can be."""
    text = value or ""
    is_plain = text.startswith("/") and all(each.isalnum() or each in "/._-+" for each in text)
    return text if is_plain else json.dumps(text, ensure_ascii=False)
