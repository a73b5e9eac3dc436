"""The acceptance sheet: what was found on site, to be compared with the displays and signed there. HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.intakes.settings import IntakeSettings
from agent.messages import Messages, cause_text
from agent.quantities import QUANTITIES
from agent.reports import html
from agent.reports.html import NOTHING, Pairs
from agent.reports.wording import grouped


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """A number that somebody compared with a meter's display, as typed and as read; `at` in local time, "" undated."""

    quantity: str
    shown: str
    read: str
    who: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSheet:
    """A meter as it answers now: decimal texts by quantity, None with its reason in `quality`. `trouble` is why it did
    not answer, in a word; `displays` what was compared with it.
    """

    name: str
    line: str
    profile: str
    address: str
    at: str
    values: Mapping[str, object]
    quality: Mapping[str, tuple[str, ...]]
    trouble: str
    displays: tuple[Display, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A measurement of the board: its name, whether it is good, fair or poor."""

    name: str
    judgement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What the sheet says. `lacking` are the fields that an intake's archive lacks, None without one; `uplinks` the
    state of each platform, "" unknown.
    """

    station: str
    station_name: str
    at: str
    software: str
    key: str
    config_sha256: str
    meters: tuple[MeterSheet, ...]
    intakes: tuple[IntakeSettings, ...]
    lacking: Mapping[str, tuple[str, ...] | None]
    uplinks: Mapping[str, str]
    checks: tuple[Check, ...]


def acceptance_sheet(given: Acceptance, out: Messages) -> str:
    """The whole page."""
    title = out.text("acceptance.title")
    place = out.text("report.voucher.place", station=given.station_name or given.station, id=given.station)
    names = (out.text(f"acceptance.{name}") for name in ("installer", "holder", "inspector", "date"))
    parts = [
        html.head(title, [place], out.text("acceptance.made", at=given.at)),
        _meters(given, out),
        _displays(given, out),
        *(_intake(intake, given, out) for intake in given.intakes),
        html.section(out.text("acceptance.uplinks"), _uplinks(given, out)) if given.uplinks else "",
        html.section(out.text("acceptance.board"), _checks(given, out)),
        html.section(out.text("acceptance.gateway"), _gateway(given, out), is_small=True),
        html.sign_off(names),
    ]
    body = f"<article>{''.join(filter(None, parts))}</article>\n"
    return html.page(f"{title} {given.station}", body, lang=out.text("report.voucher.html_lang"))


def _meters(given: Acceptance, out: Messages) -> str:
    columns = ("meter", "profile", "quantity", "value", "read_at", "display")
    headers = [out.text(f"acceptance.{name}") for name in columns]
    rows = [row for meter in given.meters for row in _rows(meter, out)]
    return html.grid(out.text("acceptance.meters"), headers, rows, right=(3,), fixed=(4,))


def _rows(meter: MeterSheet, out: Messages) -> Iterator[tuple[str, ...]]:
    """A line for each quantity; the last cell is for what the display shows."""
    named = (f"{meter.name} ({meter.line})", f"{meter.profile} {meter.address}")
    if meter.trouble or not meter.values:
        yield (*named, "", cause_text(out, meter.trouble) or NOTHING, "", "")
        return
    for place, (quantity, value) in enumerate(meter.values.items()):
        unit = QUANTITIES[quantity].unit if quantity in QUANTITIES else ""
        shown = f"{value} {unit}".rstrip() if isinstance(value, str) else _flags(value, meter, quantity, out)
        yield (*(named if not place else ("", "")), out.quantity(quantity), shown, meter.at if not place else "", "")


def _flags(value: object, meter: MeterSheet, quantity: str, out: Messages) -> str:
    if isinstance(value, list):
        return " ".join(out.flag(flag) for flag in value) or NOTHING
    return " ".join(out.reason(reason) for reason in meter.quality.get(quantity, ())) or NOTHING


def _displays(given: Acceptance, out: Messages) -> str:
    rows = [
        (meter.name, out.quantity(each.quantity), each.read, each.shown, each.who, each.at or NOTHING)
        for meter in given.meters
        for each in meter.displays
    ]
    if not rows:
        return ""
    headers = [out.text(f"acceptance.{name}") for name in ("meter", "quantity", "value", "shown", "who", "read_at")]
    return html.grid(out.text("acceptance.displays"), headers, rows, right=(2, 3), fixed=(5,))


def _intake(intake: IntakeSettings, given: Acceptance, out: Messages) -> str:
    return html.section(f"{out.text('acceptance.intake')} {intake.title or intake.name}", _facts(intake, given, out))


def _facts(intake: IntakeSettings, given: Acceptance, out: Messages) -> Pairs:
    def named(key: str, value: str) -> tuple[str, str]:
        return out.text(f"report.voucher.{key}"), value

    def word(family: str, code: str) -> str:
        return out.text(f"report.{family}.{code}") if code else ""

    permit = intake.permit
    yield named("code", intake.code)
    yield named("permit_no", "" if permit is None else permit.number)
    yield named("holder", "" if permit is None else permit.holder)
    annual = None if permit is None else permit.annual_m3
    yield named("annual", "" if annual is None else f"{grouped(annual)} m³")
    yield named("source", " · ".join(filter(None, [word("source", intake.source), word("aquifer", intake.aquifer)])))
    yield named("method", word("method", "converted" if intake.is_converted else "metered"))
    if (energy := intake.energy) is not None:
        yield named("ratios", f"{grouped(energy.ct_ratio)} × {grouped(energy.pt_ratio)}")
        yield named("coefficient", " ".join(name for pump in energy.pumps for name in pump.coefficients))
    lacking = given.lacking.get(intake.name)
    if lacking is None:
        told = out.text("acceptance.no_archive")
    else:
        told = out.text("acceptance.lacking", fields=" ".join(lacking)) if lacking else out.text("acceptance.complete")
    yield out.text("acceptance.archive"), told


def _uplinks(given: Acceptance, out: Messages) -> Pairs:
    for name, state in given.uplinks.items():
        yield name, out.text(f"uplink.state.{state}") if state else out.text("acceptance.not_running")


def _checks(given: Acceptance, out: Messages) -> Pairs:
    for check in given.checks:
        yield out.text(f"selftest.{check.name}.title"), out.text(f"selftest.judgement.{check.judgement}")


def _gateway(given: Acceptance, out: Messages) -> Pairs:
    yield out.text("report.voucher.key"), given.key
    yield out.text("report.voucher.software"), f"qushui {given.software}"
    yield out.text("report.voucher.config"), given.config_sha256
