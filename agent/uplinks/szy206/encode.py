"""From the content of a report to SZY206 frames: one for each kind of data, with the same time tag. Pure.

Strategy: values are exact Decimals and cut to the decimals of their field, never rounded up. Item n of a frame is meter
n of the station, so a channel without a value is sent as AA, never left out and never 0. A report whose time the tag
cannot carry has no form: the 5-byte tag has no month, and receivers take their own.

Source: SZY206, C0H, 81H, 82H; items and alarm word; SL/T 427-2021 where the edition says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_DOWN, Context, Decimal
from types import MappingProxyType
from typing import Any, Final

from agent.report.compose import NO_VALUES
from agent.report.content import STATION, Content, Sample
from agent.report.content import Kind as ReportKind
from agent.uplinks.szy206.options import WireOptions
from agent.uplinks.szy206_wire.codecs import Codec, Flow
from agent.uplinks.szy206_wire.content import compose
from agent.uplinks.szy206_wire.exchange import can_date, tag_of
from agent.uplinks.szy206_wire.frame import MOST_USER_DATA, Frame
from agent.uplinks.szy206_wire.items import VOLUME, Rules
from agent.uplinks.szy206_wire.names import Afn, ContentError, Edition, Kind
from agent.uplinks.szy206_wire.words import Alarm, State

AFNS: Mapping[ReportKind, Afn] = MappingProxyType(
    {ReportKind.TIMED: Afn.REPORT, ReportKind.ADDITIONAL: Afn.ALARM_REPORT, ReportKind.MANUAL: Afn.MANUAL_REPORT}
)
_EXACT = Context(prec=60, rounding=ROUND_DOWN)
_SECONDS = Decimal(3600)
_FLOWS: Final = ("flow_rate", "volume_withdrawn")
_LISTS: Mapping[str, tuple[Kind, str]] = MappingProxyType(
    {
        "level": (Kind.LEVEL, "levels_m"),
        "velocity": (Kind.VELOCITY, "velocities_m_s"),
        "power": (Kind.POWER, "powers_kw"),
        "pressure": (Kind.PRESSURE, "pressures_kpa"),
        "temperature": (Kind.WATER_TEMPERATURE, "water_temps_c"),
        "energy_import": (Kind.WIND, "energies_kwh"),  # type 8 is electricity in the 2021 edition only
    }
)
_ALARMS: Mapping[str, Alarm] = MappingProxyType(
    {
        "mains_lost": Alarm.AC_LOST,
        "power_fault": Alarm.AC_LOST,
        "battery_low": Alarm.BATTERY_LOW,
        "level_alarm": Alarm.LEVEL_LIMIT,
        "flow_alarm": Alarm.FLOW_LIMIT,
        "empty_pipe": Alarm.FLOW_INSTRUMENT,
        "no_signal": Alarm.FLOW_INSTRUMENT,
        "meter_fault": Alarm.FLOW_INSTRUMENT,
        "excitation_fault": Alarm.FLOW_INSTRUMENT,
        **dict.fromkeys(NO_VALUES, Alarm.FLOW_INSTRUMENT),
        "level_meter_fault": Alarm.LEVEL_INSTRUMENT,
        "pressure_alarm": Alarm.PRESSURE_LIMIT,
        "volume_alarm": Alarm.REMAINING_LOW,
        "door_open": Alarm.DOOR,
    }
)


class UnfitError(ValueError):
    """The report has no form in this protocol; the message says what does not fit."""


def local(at_ms: int, options: WireOptions) -> datetime:
    """The moment in the station's zone."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(timezone(timedelta(minutes=options.offset_min)))


def frames_of(content: Content, options: WireOptions, *, now_ms: int) -> list[Frame]:
    """The frames of a report, in the order in which they are sent. Raises UnfitError.

    A value that is beyond its item (a pressure below 0, say) is sent as not measured: it must not hold back the others.
    """
    afn = AFNS.get(content.kind)
    if afn is None:
        raise UnfitError(f"no function for {content.kind.value} reports")
    at = local(content.slot_ms, options)
    if not can_date(at, local(now_ms, options), options.edition):
        raise UnfitError(f"the time tag has no month: {at:%Y-%m} is over")
    tag = tag_of(at, options.edition, is_without_seconds=options.is_without_seconds)
    frames = []
    for kind, items in _grouped(content, options):
        fields = {**items, **words_of(content.alarms, options), "tp": tag}
        frames.append(frame_of(afn, fields, options, kind=kind))
    return frames


def frame_of(afn: int, fields: Mapping[str, Any], options: WireOptions, *, kind: int = 0) -> Frame:
    """An uplink frame with these fields. Raises UnfitError."""
    try:
        body = compose(fields, is_up=True, afn=afn, func=kind, dialect=options.dialect)
    except ContentError as error:
        raise UnfitError(str(error)) from error
    frame = Frame(is_up=True, func=kind, address=options.address, afn=afn, body=body)
    if len(frame.user_data) > MOST_USER_DATA:
        raise UnfitError(f"{len(frame.user_data)} bytes; a frame has at most {MOST_USER_DATA}")
    return frame


def items_of(content: Content, kind: int, options: WireOptions) -> dict[str, Any] | None:
    """The items of one kind, for a real-time query; None where this station has none of it."""
    return next((items for each, items in _grouped(content, options) if each == kind), None)


def words_of(alarms: Iterable[str], options: WireOptions) -> dict[str, Any]:
    """Alarm and state word."""
    known = set(alarms)
    bits = {_ALARMS[each] for each in known if each in _ALARMS}
    states = set() if "door_open" in known else {State.DOOR_CLOSED}
    if Alarm.AC_LOST in bits:
        states.add(State.ON_BATTERY)
    if "pump_stopped" in known:
        states.add(State.PUMP_STOPPED)
    return {
        "alarm_bits": sorted(int(bit) for bit in bits),
        "work_mode": options.mode,
        "state_bits": sorted(int(bit) for bit in states),
    }


def _grouped(content: Content, options: WireOptions) -> list[tuple[int, dict[str, Any]]]:
    """Kind of data and its items by key, flow first."""
    found: list[tuple[int, dict[str, Any]]] = []
    flows = [each for each in content.samples if each.quantity in _FLOWS and each.channel != STATION]
    if flows:
        found.append((Kind.FLOW, {"meters": _meters(flows, options)}))
    for quantity, (kind, key) in _LISTS.items():
        if quantity == "energy_import" and options.edition is not Edition.SLT427:
            continue
        samples = [each for each in content.samples if each.quantity == quantity and each.channel != STATION]
        if samples:
            found.append((kind, {key: _listed(samples, kind, options)}))
    if not found:
        raise UnfitError("nothing that this protocol has an item for")
    return found


def _meters(samples: Sequence[Sample], options: WireOptions) -> list[dict[str, Any]]:
    texts = {(each.channel, each.quantity): each.text for each in samples}
    meters, codecs = [], _codecs(options)
    for channel in range(1, max(each.channel for each in samples) + 1):
        flow, total = (texts.get((channel, quantity)) for quantity in _FLOWS)
        meters.append(
            {
                "instant": _fitting(codecs.flow("instant"), flow, options),
                "cumulative_m3": _fitting(codecs.number(VOLUME), total, options),
                "unit": options.flow_unit,
            }
        )
    return meters


def _flow(value_m3h: Decimal, options: WireOptions) -> Decimal:
    return _EXACT.divide(value_m3h, _SECONDS) if options.flow_unit == "m3/s" else value_m3h


def _listed(samples: Sequence[Sample], kind: int, options: WireOptions) -> list[Decimal | None]:
    texts = {each.channel: each.text for each in samples}
    known = _codecs(options).item(kind)
    assert known is not None
    return [_fitting(known[1], texts.get(channel), options) for channel in range(1, max(texts) + 1)]


def _codecs(options: WireOptions) -> Rules:
    return Rules(options.edition, options.dialect)


def _fitting(codec: Codec, text: str | None, options: WireOptions) -> Decimal | None:
    """The value in the item's unit; None where there is none, or the item cannot hold it."""
    if text is None:
        return None
    is_flow = isinstance(codec, Flow)
    value = _flow(Decimal(text), options) if is_flow else Decimal(text)
    try:
        codec.write({"instant": value, "unit": options.flow_unit} if is_flow else value)
    except ContentError:
        return None
    return value
