"""From the content of a report to the parts of an SL 651 body: which quantity is which element. Pure.

Strategy: values are exact Decimals and cut to the decimals of their field, never rounded up, so that differences of
what a platform holds add up to what was withdrawn. What is missing is filled with FF, never 0. A value whose own time
is another minute than the report's gets a time of its own.

Source: SL 651-2014 6.6.4 (bodies), annex C (elements), table 58 (status word); 8 intakes at most (annex E.10).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_DOWN, Context, Decimal
from types import MappingProxyType

from agent.report.compose import NO_VALUES
from agent.report.content import STATION, Content, Kind, Sample
from agent.uplinks.sl651.options import ElementForm, WireOptions
from agent.uplinks.sl651_wire.codes import Function, StatusBit
from agent.uplinks.sl651_wire.elements import Element, number, status
from agent.uplinks.sl651_wire.parts import (
    MINUTE,
    SECOND,
    ManualText,
    ObservedAt,
    Part,
    Station,
    Step,
    digits_of,
    series,
)

CHANNELS = range(1, 9)
FUNCTIONS: Mapping[Kind, Function] = MappingProxyType(
    {
        Kind.TEST: Function.TEST,
        Kind.UNIFORM: Function.UNIFORM,
        Kind.TIMED: Function.TIMED,
        Kind.ADDITIONAL: Function.ADDITIONAL,
        Kind.INTERVAL: Function.ADDITIONAL,
        Kind.HOURLY: Function.HOURLY,
        Kind.MANUAL: Function.MANUAL,
    }
)
_EXACT = Context(prec=60, rounding=ROUND_DOWN)
_SECONDS = Decimal(3600)
_FIRST = MappingProxyType(
    {  # the element of channel 1; those of the others follow
        "flow_rate": 0x28,
        "volume_hour": 0x68,
        "pressure": 0x58,
        "level": 0x3C,
    }
)
_OWN = MappingProxyType({"supply_voltage": b"\x38", "depth_to_water": b"\x0e"})
_ORDER = ("flow_rate", "volume_withdrawn", "volume_hour", "pressure", "level", "depth_to_water")  # as annex E.10
_NORMAL = frozenset({StatusBit.DOOR_CLOSED})  # 1 is the normal state
_BITS: Mapping[str, StatusBit] = MappingProxyType(
    {
        "mains_lost": StatusBit.MAINS_LOST,
        "power_fault": StatusBit.MAINS_LOST,
        "battery_low": StatusBit.BATTERY_LOW,
        "level_alarm": StatusBit.LEVEL_ALARM,
        "flow_alarm": StatusBit.FLOW_ALARM,
        "empty_pipe": StatusBit.FLOW_METER_FAULT,
        "no_signal": StatusBit.FLOW_METER_FAULT,
        "meter_fault": StatusBit.FLOW_METER_FAULT,
        "excitation_fault": StatusBit.FLOW_METER_FAULT,
        **dict.fromkeys(NO_VALUES, StatusBit.FLOW_METER_FAULT),
        "level_meter_fault": StatusBit.LEVEL_SENSOR_FAULT,
        "STORE-WRITE-FAILED": StatusBit.STORAGE_FAULT,
        "STORE-FULL": StatusBit.STORAGE_FAULT,
        "memory_fault": StatusBit.STORAGE_FAULT,
        "pump_stopped": StatusBit.PUMP_STOPPED,
        "volume_alarm": StatusBit.VOLUME_ALARM,
    }
)


class UnfitError(ValueError):
    """The report has no form in this protocol; the message says what does not fit."""


def zone_of(options: WireOptions) -> timezone:
    """The zone of all times of this uplink."""
    return timezone(timedelta(minutes=options.offset_min))


def sent_digits(at_ms: int, options: WireOptions) -> str:
    """The send time of a header: 12 digits."""
    return digits_of(_moment(at_ms), SECOND, zone_of(options))


def parts_of(content: Content, options: WireOptions) -> tuple[Part, ...]:
    """The body of a report behind its header. Raises UnfitError."""
    if content.kind is Kind.MANUAL:
        return (ManualText(content.text.encode(options.text_encoding, "replace")),)
    head: list[Part] = [Station(options.station, options.station_class)]
    if content.kind is Kind.UNIFORM:
        return (*head, *_uniform(content, options))
    return (*head, *values_of(content, options))


def values_of(content: Content, options: WireOptions) -> tuple[Part, ...]:
    """Times and elements of a report: the trigger's first, then the intakes', the status word, the station's own."""
    ordered = sorted(content.samples, key=lambda each: _rank(each, content.trigger))
    here = [each for each in ordered if not _is_apart(each, content.slot_ms)]
    word = status({int(bit) for bit in status_bits(content.alarms)})
    is_alarm = content.trigger.startswith(("+", "-"))
    parts: list[Part] = [observed_at(content.slot_ms, options), *([word] if is_alarm else ())]
    parts += _elements((each for each in here if each.channel != STATION), options)
    parts += () if is_alarm else (word,)
    parts += _elements((each for each in here if each.channel == STATION), options)
    apart: dict[ObservedAt, list[Sample]] = {}
    for each in ordered:
        if _is_apart(each, content.slot_ms):
            apart.setdefault(observed_at(each.at_ms, options), []).append(each)
    for minute, samples in apart.items():
        parts += [minute, *_elements(samples, options)]
    return tuple(parts)


def status_bits(alarms: Iterable[str]) -> frozenset[StatusBit]:
    """The bits of the status and alarm word; what it has no bit for is not in it."""
    bits = {_BITS[each] for each in alarms if each in _BITS}
    return frozenset((_NORMAL - {StatusBit.DOOR_CLOSED} if "door_open" in alarms else _NORMAL) | bits)


def element_of(sample: Sample, options: WireOptions) -> Element | None:
    """The sample as an element; None where this uplink sends no such quantity."""
    form = form_of(sample.channel, sample.quantity, options)
    if form is None:
        return None
    value = None if sample.text is None else _in_unit(sample.quantity, Decimal(sample.text))
    try:
        return number(form.identifier, value, digits=form.digits, decimals=form.decimals, dialect=options.dialect)
    except ValueError as error:
        raise UnfitError(f"{sample.quantity} of channel {sample.channel}: {error}") from error


def form_of(channel: int, quantity: str, options: WireOptions) -> ElementForm | None:
    """The element of a quantity at a channel; None where it has none."""
    if (channel, quantity) in options.extras:
        return options.extras[channel, quantity]
    if quantity == "volume_withdrawn":
        return options.totals.get(channel)
    if quantity in _FIRST and channel in CHANNELS:
        identifier = bytes([_FIRST[quantity] + channel - 1])
        if quantity == "flow_rate":  # six decimals: three are steps of 3.6 m3/h
            return ElementForm(identifier=identifier, digits=6 + options.flow_decimals, decimals=options.flow_decimals)
        return ElementForm(identifier=identifier)
    return ElementForm(identifier=_OWN[quantity]) if quantity in _OWN else None


def series_of(
    channel: int, quantity: str, values: Sequence[str | None], step_ms: int, options: WireOptions
) -> tuple[Part, ...]:
    """A step and the samples of one element, FF where one is missing. Raises UnfitError."""
    form = form_of(channel, quantity, options)
    if form is None:
        raise UnfitError(f"{quantity} of channel {channel} has no element")
    numbers = [None if text is None else _in_unit(quantity, Decimal(text)) for text in values]
    try:
        step = Step.of(timedelta(milliseconds=step_ms))
        return (step, series(form.identifier, numbers, digits=form.digits, decimals=form.decimals))
    except ValueError as error:
        raise UnfitError(f"{quantity} of channel {channel}: {error}") from error


def observed_at(at_ms: int, options: WireOptions) -> ObservedAt:
    """The observation time of what follows."""
    return ObservedAt(digits_of(_moment(at_ms), MINUTE, zone_of(options)))


def _uniform(content: Content, options: WireOptions) -> tuple[Part, ...]:
    """One element in equal steps, from the first sample's time."""
    if not content.samples:
        raise UnfitError("no samples")
    first = content.samples[0]
    if any((each.channel, each.quantity) != (first.channel, first.quantity) for each in content.samples):
        raise UnfitError("one element per report")  # 6.6.4.3
    texts = [each.text for each in content.samples]
    return (
        observed_at(first.at_ms, options),
        *series_of(first.channel, first.quantity, texts, content.step_ms, options),
    )


def _elements(samples: Iterable[Sample], options: WireOptions) -> list[Part]:
    found = (element_of(each, options) for each in samples)
    return [each for each in found if each is not None]


def _in_unit(quantity: str, value: Decimal) -> Decimal:
    """The value in the element's unit: flow in m3/s, all others as they are. Cut where a division does not end."""
    return _EXACT.divide(value, _SECONDS) if quantity == "flow_rate" else value


def _is_apart(sample: Sample, slot_ms: int) -> bool:
    """Whether the sample was observed in another minute than the report's."""
    return sample.text is not None and sample.at_ms // 60_000 != slot_ms // 60_000


def _rank(sample: Sample, trigger: str) -> tuple[bool, bool, int, int]:
    place = _ORDER.index(sample.quantity) if sample.quantity in _ORDER else len(_ORDER)
    is_trigger = trigger.rstrip("<>~=.-0123456789") == sample.quantity
    return not is_trigger, sample.channel == STATION, sample.channel, place


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)
