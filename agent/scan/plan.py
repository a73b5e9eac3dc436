"""What a scan asks, in which order, and how long that takes if nobody answers. Pure.

Strategy: a dead address costs its wait, so there are two passes. The first waits as long as most meters need; the
second asks again, more patiently, who kept silent. Neither has to be as long as the slowest meter takes: what comes
late comes into the next question and betrays its sender. Within a pass: the settings that the line is configured for,
then questions that call all meters of a protocol at once, then address by address from the likeliest settings on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.planning import TURNAROUND_S, Wire
from agent.settings import SerialSettings
from drivers.contract import Ask
from drivers.search import Call

LIKELY_BAUDS = (9600, 2400, 19200, 4800, 1200, 38400, 115200)
LIKELY_PARITIES = ("none", "even")
LISTEN_S = 0.3
"""Seconds in which each setting is first heard without asking."""
EXPECTED_METERS = 3
"""So many meters on a bus the announcement allows for."""

_QUIET_S = 0.05  # the line is heard out for this long after every question without an answer
_OVERHEAD_S = 0.002  # opening sockets and scheduling, per question
_WAITS_S: Mapping[str, tuple[float, float]] = {"modbus": (0.2, 0.6)}
_USUAL: Mapping[str, tuple[tuple[int, ...], tuple[str, ...]]] = {  # where the standard leaves no more
    "dlt645": ((2400, 9600, 4800, 1200, 19200), ("even",)),
    "cjt188": ((2400, 9600, 4800, 1200), ("even", "none")),
}
_CALLING_ALL_WAITS_S = (0.8, 1.5)  # DL/T 645 and CJ/T 188 give their meters 500 ms to answer
_NETWORK_WAITS_S = (1.0, 3.0)  # a meter behind a cellular modem
_MOST_WILDCARDS = 3  # more calls than that go from address to address
_READ_CHARACTERS = 20  # of the read, and the refusal or short reply, that a profile costs on average until it is out

Searches = Mapping[str, Callable[..., tuple[Call, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody asked to be searched. Empty `bauds` or `parities`: the likely ones."""

    protocols: tuple[str, ...]
    numbers: tuple[int, ...]
    bauds: tuple[int, ...] = ()
    parities: tuple[str, ...] = ()
    is_quick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One walk over the calls of a protocol with one setting. `seconds`: how long it takes if nobody answers."""

    serial: SerialSettings
    protocol: str
    calls: tuple[Call, ...]
    wait_s: float
    is_patient: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanPlan:
    """All steps in their order, and the seconds that finding out a meter's model takes, each."""

    steps: tuple[Step, ...]
    identify_s: float

    @property
    def seconds(self) -> float:
        """How long all of it takes when nobody answers, and some time for the models of those who do."""
        listening_s = LISTEN_S * len({step.serial for step in self.steps})
        return sum(step.seconds for step in self.steps) + listening_s + EXPECTED_METERS * self.identify_s


def settings_of(
    wanted: Wanted, own: SerialSettings, *, protocol: str = "modbus", is_serial: bool
) -> tuple[SerialSettings, ...]:
    """The serial settings to try, the likeliest first; on a network only its own, which nobody sees."""
    if not is_serial:
        return (own,)
    usual = _USUAL.get(protocol, (LIKELY_BAUDS, LIKELY_PARITIES))
    bauds, parities = wanted.bauds or usual[0], wanted.parities or usual[1]
    walked = [SerialSettings(baud=baud, parity=parity) for baud in bauds for parity in parities]
    is_wanted = (not wanted.bauds or own.baud in bauds) and (not wanted.parities or own.parity in parities)
    rest = [each for each in walked if (each.baud, each.parity) != (own.baud, own.parity)]
    return (own, *rest) if is_wanted else tuple(rest)


def plan_of(
    wanted: Wanted,
    *,
    own: SerialSettings,
    framing: str,
    is_serial: bool,
    searches: Searches,
    profiles: Mapping[str, int],
    wire_of: Callable[[SerialSettings], Wire],
) -> ScanPlan:
    """The plan. `profiles` says how many there are of each protocol. Raises SpecError for an impossible address."""
    keyed: list[tuple[tuple[object, ...], Step]] = []
    for protocol in wanted.protocols:
        calls = searches[protocol](framing=framing, numbers=wanted.numbers)
        if not calls:
            continue  # this protocol is not spoken on such a line
        waits = _NETWORK_WAITS_S if not is_serial else _WAITS_S.get(protocol, _CALLING_ALL_WAITS_S)
        settings = settings_of(wanted, own, protocol=protocol, is_serial=is_serial)
        for at, serial in enumerate(settings if calls else ()):
            wire = wire_of(serial) if is_serial else None
            for wait_s in waits[:1] if wanted.is_quick else waits:
                seconds = sum(unanswered_s(call.ask, wire, wait_s) for call in calls)
                step = Step(
                    serial=serial,
                    protocol=protocol,
                    calls=calls,
                    wait_s=wait_s,
                    is_patient=wait_s != waits[0],
                    seconds=seconds,
                )
                is_own, is_walk = serial == own, len(calls) > _MOST_WILDCARDS
                keyed.append(((step.is_patient, not is_own, not is_own and is_walk, at, seconds), step))
    steps = tuple(step for _, step in sorted(keyed, key=lambda each: each[0]))
    known = max((profiles.get(protocol, 0) for protocol in wanted.protocols), default=0)
    wire = wire_of(steps[0].serial) if is_serial and steps else None
    return ScanPlan(steps=steps, identify_s=_identify_s(known, wire))


def unanswered_s(ask: Ask, wire: Wire | None, wait_s: float) -> float:
    """Seconds that a question costs which nobody answers; `wire` is None on a network."""
    if wire is None:
        return wait_s + _OVERHEAD_S
    return ask.request_size * wire.character_s + wait_s + max(_QUIET_S, wire.silence_s) + wire.silence_s + _OVERHEAD_S


def _identify_s(profiles: int, wire: Wire | None) -> float:
    on_wire_s = 0.0 if wire is None else _READ_CHARACTERS * wire.character_s + 2 * wire.silence_s
    return profiles * (on_wire_s + TURNAROUND_S + (0.0 if wire is None else _QUIET_S))


def numbers_in(text: str, lowest: int, highest: int) -> tuple[int, ...]:
    """The numbers of `1-32` or `1,3,7-9`, each once, in their order. Raises ValueError."""
    found: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        begin, end = int(first), int(last) if dash else int(first)
        if not lowest <= begin <= end <= highest:
            raise ValueError(text)
        found.update(dict.fromkeys(range(begin, end + 1)))
    return tuple(found)


def wholes_in(text: str, allowed: Sequence[int]) -> tuple[int, ...]:
    """The whole numbers of `9600,2400`, all of them in `allowed`. Raises ValueError."""
    found = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    if not set(found) <= set(allowed):
        raise ValueError(text)
    return found
