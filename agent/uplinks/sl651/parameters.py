"""Which parameters of an SL 651 centre take effect here, which are only kept, and which are refused. Pure.

In effect: the intervals of timed (20) and of additional reports (21; 0: none), the change of flow that is reported at
once (42), the upper limit of flow (8D), the limits of intake level (49-58) and pressure (59-68), working mode 3 (0C):
queries are answered, nothing is reported, and what is due waits. Kept and read back, without effect on what this
station does: the other modes and run parameters. Refused: everything that says where the station or its centres are
(01, 02, 04-0B), as a wrong one would cut it off for good, a working mode that no table has, and the password (03),
which function 49 changes; it is not told either.

Source: SL 651-2014 annex D, tables D.1 and D.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation

from agent.report.compose import Limit
from agent.report.in_force import InForce, is_interval
from agent.report.options import CentreOptions
from agent.uplinks.sl651.commands import BASIC, RUN
from agent.uplinks.sl651.options import WireOptions
from agent.uplinks.sl651_wire.parameters import RUN as RUN_FORMS
from agent.uplinks.sl651_wire.parameters import basic_parameter

_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000
_INTERVAL, _ADDITIONAL, _FLOW_CHANGE, _FLOW_LIMIT = f"{RUN}20", f"{RUN}21", f"{RUN}42", f"{RUN}8D"
_MOST_MINUTES = 99  # N(2)
_LEVELS, _PRESSURES = 0x49, 0x59  # upper and lower limit of intake 1, then of intake 2 …
_CHANNELS = 8
_WORKING_MODE, _ANSWERS = f"{BASIC}0C", "03"
_WORKING_MODES_KNOWN = frozenset({"01", "02", _ANSWERS, "04"})
_KEPT_BASIC = frozenset({f"{BASIC}0D", f"{BASIC}0F"})
_SECONDS = 3600  # m3/s to m3/h
_WORKING_MODES = {1: 1, 2: 2, 4: 3}  # of the link mode: reports, reports with confirmation, answers queries
_OCTETS, _DIGITS = 4, 3  # an address is twelve digits
_MOST_DIGITS = 62  # of 31 bytes, the most that a data definition can say (6.6.3.2)
_KNOWN_RUN = frozenset(f"{RUN}{identifier.hex().upper()}" for identifier in RUN_FORMS)


def in_force(values: Mapping[str, str]) -> InForce:
    """What the settings of a centre change; those that make no sense change nothing."""
    every_ms = None if (hours := _number(values, _INTERVAL)) is None else int(hours * _HOUR_MS)
    limits: dict[tuple[int, str], Limit] = {}
    change, high = _number(values, _FLOW_CHANGE), _number(values, _FLOW_LIMIT)
    for channel in range(1, _CHANNELS + 1):
        if change or high:
            limits[channel, "flow_rate"] = Limit(
                change=change * _SECONDS if change else None, high=high * _SECONDS if high else None
            )
        for first, quantity in ((_LEVELS, "level"), (_PRESSURES, "pressure")):
            at = first + 2 * (channel - 1)
            upper, lower = _number(values, f"{RUN}{at:02X}"), _number(values, f"{RUN}{at + 1:02X}")
            if upper is not None or lower is not None:
                limits[channel, quantity] = replace(Limit(), high=upper, low=lower)
    return InForce(
        every_ms=every_ms if every_ms and is_interval(every_ms) else None,
        limits=limits,
        additional_ms=int(_number(values, _ADDITIONAL) or 0) * _MINUTE_MS or None,
        is_polled=values.get(_WORKING_MODE) == _ANSWERS,
    )


def defaults(options: CentreOptions) -> dict[str, str]:
    """What is read of parameters that the centre has not set: who this station is, where it reports, how often."""
    wire: WireOptions = options.wire
    found = {
        f"{BASIC}01": f"{wire.centre:02X}000000",
        f"{BASIC}02": wire.station,
        _WORKING_MODE: f"{_WORKING_MODES[wire.mode]:02X}",
        _ADDITIONAL: "0",
    }
    for identifier, (host, port) in zip(("04", "05"), options.addresses, strict=False):
        digits = [part.zfill(3) for part in host.split(".")]
        if len(digits) == _OCTETS and all(len(part) == _DIGITS and part.isdecimal() for part in digits):
            found[f"{BASIC}{identifier}"] = f"02{''.join(digits)}{port:06d}"
    hours, rest = divmod(options.every_ms, _HOUR_MS)
    return found if rest else {**found, _INTERVAL: str(hours)}


def is_acceptable(name: str, value: str) -> bool:
    """Whether a setting is taken: it is known, fits, and cannot cut the station off."""
    if name == _WORKING_MODE:
        return value in _WORKING_MODES_KNOWN
    if name.startswith(BASIC):
        return name in _KEPT_BASIC and _fits(name, value)
    number = _number({name: value}, name)
    if name not in _KNOWN_RUN or number is None:
        return False
    if name == _ADDITIONAL:
        return number == int(number) and 0 <= number <= _MOST_MINUTES
    return name != _INTERVAL or is_interval(int(number * _HOUR_MS))


def _fits(name: str, value: str) -> bool:
    """Whether a basic parameter is bytes, as many as it has."""
    try:
        basic_parameter(bytes.fromhex(name.removeprefix(BASIC)), bytes.fromhex(value))
    except ValueError:
        return False
    return True


def _number(values: Mapping[str, str], name: str) -> Decimal | None:
    """The value as a number of the size that a frame holds; None for anything else, as words of an ASCII frame are."""
    try:
        number = Decimal(values[name]) if name in values else None
    except InvalidOperation:
        return None
    is_sound = number is not None and number.is_finite() and abs(number.adjusted()) < _MOST_DIGITS
    return number if is_sound else None
