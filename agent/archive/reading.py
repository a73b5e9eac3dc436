"""Archives from their files: judged, held against the configuration that names them, and completing it.

A number that both hold must be the same in both: a multiplier that differs is water that nobody withdrew.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from agent.archive.checking import certificate_of
from agent.archive.form import ArchivedElectricityForm, ArchiveForm, MeteringForm
from agent.archive.record import Archive
from agent.archive.shelf import Shelf
from agent.form.judge import accepted, judged, keys_of, section_of
from agent.form.nodes import Document, Steps, read_file, read_text, shown
from agent.form.problems import FormErrors
from agent.intakes.form import CertificateForm, ConvertedForm, IntakeForm, MeteredForm, PipeForm, RangeForm
from agent.intakes.kinds import ratio_of

_TEN_THOUSAND = Decimal(10_000)
Meter = TypeVar("Meter", MeteredForm, ConvertedForm)


class Pair(NamedTuple):
    """A fact that both the archive and the configuration state: where, and what each says; None: nothing."""

    path: Steps
    told: object
    key: str
    configured: object


def take(shelf: Shelf, intake: str, file: str, form: IntakeForm | None) -> IntakeForm | None:
    """The intake's form with what its archive adds; problems in the archive, and with it, are noted on the shelf.

    `form` is None where the intake's own section does not stand; the archive is judged all the same.
    """
    try:
        document = _document(shelf, intake, file)
    except FormErrors as errors:
        shelf.problems += errors.problems
        return None
    archive = judged(document, (), ArchiveForm)
    standing = _standing(document) if archive is None else archive
    _check_multiplier(document, standing.electricity)
    _check_metering(document, standing.metering)
    if form is not None:
        _compare(document, intake, pairs(standing, form))
    shelf.problems += document.problems
    if archive is None or document.problems:
        return None
    shelf.archives[intake] = Archive(file=file, text=document.text, data=plain(archive))
    return None if form is None else completed(form, archive)


def _check_metering(document: Document, metering: MeteringForm) -> None:
    """No certificate ends before its verification; Q1, Q3 and Q4 grow in this order."""
    certificate = metering.cert
    if certificate.date is not None and certificate.valid_to is not None and certificate.valid_to < certificate.date:
        first, last = certificate.date.isoformat(), certificate.valid_to.isoformat()
        document.complain(("metering", "cert", "valid_to"), "ends-before", value=last, limit=first)
    flows = [(key, value) for key in ("q1", "q3", "q4") if (value := getattr(metering.range, key)) is not None]
    for (lower, low), (key, value) in pairwise(flows):
        if value < low:
            document.complain(("metering", "range", key), "below", value=str(value), limit=str(low), key=lower)


def _document(shelf: Shelf, intake: str, file: str) -> Document:
    place = shelf.directory / file
    if shelf.texts is None:
        return read_file(place, str(place))
    return read_text(shelf.texts.get(intake, ""), str(place))


def _standing(document: Document) -> ArchiveForm:
    """What of an archive stands by itself, so that a mistake in one section hides none in another."""
    found = {}
    for key, told in ArchiveForm.model_fields.items():
        section = section_of(told.annotation)
        node = document.root.entries().get(key)
        if section is not None and node is not None and isinstance(node.value, dict):
            found[key] = accepted(document, (key,), section)
    return ArchiveForm().model_copy(update={key: each for key, each in found.items() if each is not None})


def plain(value: Any) -> Any:
    """A judged section as plain data; what says nothing is left out."""
    match value:
        case BaseModel():
            names = zip(keys_of(type(value)), type(value).model_fields, strict=True)
            entries = {key: plain(getattr(value, name)) for key, name in names}
            return {key: each for key, each in entries.items() if each is not None and each not in ({}, [])}
        case list() | tuple():
            return [plain(each) for each in value]
        case Decimal():
            return f"{value.normalize():f}"
        case date():
            return value.isoformat()
        case _:
            return value


def pairs(archive: ArchiveForm, form: IntakeForm) -> Iterator[Pair]:
    """Every fact that an archive and an intake's section can both state."""
    permit, told = form.permit, archive.permit
    annual = None if told.annual_10k_m3 is None else told.annual_10k_m3 * _TEN_THOUSAND
    yield Pair(("point", "code"), archive.point.code, "code", form.code)
    if permit is not None:
        yield Pair(("permit", "no"), told.no, "permit.number", permit.number)
        yield Pair(("permit", "annual_10k_m3"), annual, "permit.annual_m3", permit.annual_m3)
        yield Pair(("permit", "valid_to"), told.valid_to, "permit.valid_until", permit.valid_until)
        yield Pair(("holder", "name"), archive.holder.name, "permit.holder", permit.holder)
    yield Pair(("intake", "source_type"), archive.intake.source_type, "source", form.source)
    yield Pair(("intake", "aquifer"), archive.intake.aquifer, "aquifer", form.aquifer)
    yield Pair(("intake", "zone"), archive.intake.zone, "water_zone", form.water_zone)
    pipe, flows = archive.metering.pipe, archive.metering.range
    for key in ("material", "dn_mm", "up_cm", "down_cm"):
        yield Pair(("metering", "pipe", key), getattr(pipe, key), f"pipe.{key}", getattr(form.pipe, key))
    for key in ("q1", "q3", "q4"):
        configured = getattr(form.range, f"{key}_m3h")
        yield Pair(("metering", "range", key), getattr(flows, key), f"range.{key}_m3h", configured)
    yield from _of_meters(archive, form)


def _of_meters(archive: ArchiveForm, form: IntakeForm) -> Iterator[Pair]:
    water, metering = form.water, archive.metering
    if isinstance(water, MeteredForm):
        yield Pair(("metering", "serial"), metering.serial, "water.serial", water.serial)
    if isinstance(water, MeteredForm | ConvertedForm) and water.certificate is not None:
        own = water.certificate
        yield Pair(("metering", "cert", "no"), metering.cert.no, "water.certificate.number", own.number)
        yield Pair(("metering", "cert", "date"), metering.cert.date, "water.certificate.issued", own.issued)
        yield Pair(
            ("metering", "cert", "valid_to"), metering.cert.valid_to, "water.certificate.valid_until", own.valid_until
        )
    for way, section in (("water", form.water), ("check", form.check)):
        if isinstance(section, ConvertedForm) and archive.electricity is not None:
            yield from _of_electricity(archive.electricity, section, way)


def _of_electricity(told: ArchivedElectricityForm, own: ConvertedForm, way: str) -> Iterator[Pair]:
    multiplier = Decimal(1) if own.register_is_primary else own.ct * own.pt
    decimals = None if told.decimals is None else Decimal(1).scaleb(-told.decimals)
    coefficient = None if told.coefficient is None else told.coefficient.partition("@")[0]
    own_ids = [*(own.coefficient or ()), *(each for pump in (own.pumps or {}).values() for each in pump.coefficient)]
    known = own_ids[0] if own_ids and coefficient not in own_ids else coefficient
    for path, said, key, configured in (
        ("ct", _ratio(told.ct), "ct", own.ct),
        ("pt", _ratio(told.pt), "pt", own.pt),
        ("multiplier", told.multiplier, "ct × pt", multiplier),
        ("register_is_primary", told.register_is_primary, "register_is_primary", own.register_is_primary),
        ("digits", told.digits, "digits", own.digits),
        ("decimals", decimals, "step_kwh", own.step_kwh),
        ("meter_no", told.meter_no, "serial", own.serial),
        ("coefficient", coefficient, "coefficient", known),
    ):
        yield Pair(("electricity", path), said, f"{way}.{key}", configured)


def completed(form: IntakeForm, archive: ArchiveForm) -> IntakeForm:
    """The intake's form with pipe, range, serial and certificate from its archive where it has none itself."""
    pipe, flows = archive.metering.pipe, archive.metering.range
    told: dict[str, object] = {
        "pipe": PipeForm(**{key: getattr(form.pipe, key) or getattr(pipe, key) for key in PipeForm.model_fields}),
        "range": RangeForm(
            q1_m3h=form.range.q1_m3h or flows.q1,
            q3_m3h=form.range.q3_m3h or flows.q3,
            q4_m3h=form.range.q4_m3h or flows.q4,
            start_m3h=form.range.start_m3h,
        ),
    }
    if isinstance(form.water, MeteredForm):
        told["water"] = _identified(form.water, archive.metering.serial, archive)
    elif isinstance(form.water, ConvertedForm):
        told["water"] = _identified(form.water, _energy_serial(archive), archive)
    if isinstance(form.check, ConvertedForm):
        told["check"] = _identified(form.check, _energy_serial(archive), None)
    return form.model_copy(update=told)


def _energy_serial(archive: ArchiveForm) -> str | None:
    return None if archive.electricity is None else archive.electricity.meter_no


def _identified(meter: Meter, serial: str | None, archive: ArchiveForm | None) -> Meter:
    """The meter with that serial number and the certificate of the archive where it has none."""
    found = None if archive is None else certificate_of(plain(archive))
    certificate = None
    if found is not None:
        told = {"number": found.number or None, "issued": found.issued, "valid_until": found.valid_until}
        certificate = CertificateForm.model_construct(None, **told)  # judged already, as texts
    return meter.model_copy(update={"serial": meter.serial or serial, "certificate": meter.certificate or certificate})


def _check_multiplier(document: Document, electricity: ArchivedElectricityForm | None) -> None:
    """Within the archive: the multiplier is what its transformers make, once."""
    if electricity is None or electricity.multiplier is None or electricity.ct is None:
        return
    product = ratio_of(electricity.ct) * (ratio_of(electricity.pt) if electricity.pt is not None else Decimal(1))
    expected = Decimal(1) if electricity.register_is_primary else product
    if electricity.multiplier != expected:
        arguments = {"value": f"{electricity.multiplier:f}", "limit": f"{expected.normalize():f}"}
        document.complain(("electricity", "multiplier"), "archive-multiplier", **arguments)


def _compare(document: Document, intake: str, stated: Iterator[Pair]) -> None:
    for pair in stated:
        if pair.told is not None and pair.configured is not None and pair.told != pair.configured:
            document.complain(
                pair.path,
                "archive-differs",
                value=_said(pair.told),
                other=_said(pair.configured),
                key=f"intakes.{intake}.{pair.key}",
            )


def _said(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else shown(value)


def _ratio(text: str | None) -> Decimal | None:
    return None if text is None else ratio_of(text)
