"""What the sound of a bus means: causes in the order of their likelihood, each with its evidence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.scan.found import Garbled, Hearing

_HIGH_BAUD = 19200  # above it reflections of a few metres of stub line reach into the next bit
_SLOW_S = 0.5
_MOST_SHOWN = 24  # bytes of evidence


@dataclass(frozen=True, slots=True)
class Finding:
    """One conclusion: `code` names the sentences `scan.finding.CODE`, `arguments` fill them."""

    code: str
    arguments: Mapping[str, str]


def findings(heard: Hearing) -> tuple[Finding, ...]:
    """What is worth saying about the bus, apart from the meters themselves."""
    return tuple(_findings(heard))


def _findings(heard: Hearing) -> Iterator[Finding]:
    if heard.echoes:
        yield Finding("echo", {"count": str(heard.echoes)})
    for serial, received in heard.unasked.items():
        if received:
            yield Finding("talking", {"baud": str(serial.baud), "received": _shown(received)})
            break
    if heard.answers_any_unit:
        yield Finding("any_unit", {})
    if heard.strangers:
        yield Finding("stranger", {"addresses": " ".join(sorted(heard.strangers, key=lambda each: (len(each), each)))})
    unexplained = [each for each in heard.garbled if not _is_explained(each, heard)]
    if not heard.meters:
        yield from _nobody(heard, unexplained)
    else:
        yield from _some(heard, unexplained)


def _nobody(heard: Hearing, unexplained: list[Garbled]) -> Iterator[Finding]:
    if unexplained:
        first = unexplained[0]
        yield Finding("noise", {**_evidence(first), "count": str(len(unexplained))})
    elif heard.asked and not heard.strangers:
        yield Finding("silent", {"asked": str(heard.asked)})


def _some(heard: Hearing, unexplained: list[Garbled]) -> Iterator[Finding]:
    high = [each for each in unexplained if each.serial.baud >= _HIGH_BAUD]
    if high and all(meter.serial.baud < _HIGH_BAUD for meter in heard.meters):
        yield Finding("high_baud", {**_evidence(high[0]), "addresses": _addresses(high)})
        unexplained = [each for each in unexplained if each not in high]
    if unexplained:
        yield Finding("garbled", {**_evidence(unexplained[0]), "addresses": _addresses(unexplained)})
    for meter in heard.meters:
        if meter.delay_s >= _SLOW_S:
            yield Finding("slow", {"address": meter.address, "delay": f"{meter.delay_s:.1f}s"})
        if meter.is_identified and meter.best is None:
            yield Finding("unknown", {"address": meter.address, "protocol": meter.protocol})


def _is_explained(garbled: Garbled, heard: Hearing) -> bool:
    """That meter answers well with other settings: what came with these was a misunderstanding."""
    return any((meter.protocol, meter.address) == (garbled.protocol, garbled.address) for meter in heard.meters)


def _addresses(garbled: list[Garbled]) -> str:
    return " ".join(dict.fromkeys(each.address for each in garbled))


def _evidence(garbled: Garbled) -> dict[str, str]:
    serial = garbled.serial
    return {
        "address": garbled.address,
        "baud": str(serial.baud),
        "parity": serial.parity,
        "received": _shown(garbled.received),
    }


def _shown(received: bytes) -> str:
    text = received[:_MOST_SHOWN].hex(" ").upper()
    return f"{text} …" if len(received) > _MOST_SHOWN else text
