"""From an intake's judged section to its settings, with what the sheets say where the file is silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo
from decimal import Decimal
from types import MappingProxyType

from agent.intakes.certificates import completed, usual_years
from agent.intakes.form import (
    CertificateForm,
    ConvertedForm,
    IntakeForm,
    MeteredForm,
    PermitForm,
    RangeForm,
    SeveralForm,
)
from agent.intakes.settings import (
    Certificate,
    Channel,
    EnergySource,
    IntakeSettings,
    Obligation,
    Permit,
    Pipe,
    PumpSource,
    Range,
    RuleSettings,
    SourceType,
    StatusChange,
    Use,
    WaterSource,
)

_OVERLOAD_FLOW = Decimal("1.25")  # Q4 = 1.25·Q3, GB/T 778.1-2018 (metering guideline sheet §3)
_ONLY_PUMP = "pump"
_USUAL_CT_CLASS_PCT = Decimal("0.5")  # electricity-to-water sheet §11-5
_MS = Decimal(1000)


def settings_of(name: str, form: IntakeForm, *, zone: tzinfo, periods_ms: Mapping[str, int]) -> IntakeSettings:
    """The settings of the intake `name`; `periods_ms` are those of all meters."""
    water, check = form.water, form.check
    energy = next((each for each in (water, check) if isinstance(each, ConvertedForm)), None)
    years = usual_years(dn_mm=form.pipe.dn_mm, q3_m3h=form.range.q3_m3h)
    settings = IntakeSettings(
        name=name,
        code=form.code,
        title=form.name or name,
        zone=zone,
        source=SourceType(form.source),
        aquifer=form.aquifer or "",
        water_zone=form.water_zone,
        permit=None if form.permit is None else _permit(form.permit),
        statuses=tuple(StatusChange(use=Use(each.use), since=each.since) for each in form.status),
        obligation=Obligation(category=form.category, area_mu=form.area_mu, **form.online.model_dump()),
        range=_range(form.range),
        pipe=Pipe(**form.pipe.model_dump(exclude={"material"}), material=form.pipe.material or ""),
        season=form.season,
        water=_sources(water, years),
        energy=None if energy is None else _energy(energy),
        check_meters=_sources(check, years),
        heads=tuple(form.heads),
        rules=MappingProxyType({
            rule: RuleSettings(
                **each.model_dump(exclude={"hold_off"}),
                hold_off_s=None if each.hold_off is None else each.hold_off / _MS,
            )
            for rule, each in form.rules.items()
        }),
    )  # fmt: skip
    return settings.hearing({meter: periods_ms[meter] for meter in sorted(settings.meters) if meter in periods_ms})


def _permit(form: PermitForm) -> Permit:
    plain = form.model_dump(exclude={"holder", "plan_m3"})
    return Permit(**plain, holder=form.holder or "", plan_m3=tuple(form.plan_m3))


def _range(form: RangeForm) -> Range:
    told = Range(**form.model_dump())
    if told.q4_m3h is None and told.q3_m3h is not None:
        return Range(**form.model_dump(exclude={"q4_m3h"}), q4_m3h=told.q3_m3h * _OVERLOAD_FLOW)
    return told


def _certificate(form: CertificateForm | None) -> Certificate | None:
    if form is None:
        return None
    return Certificate(number=form.number or "", issued=form.issued, valid_until=form.valid_until)


def _sources(form: MeteredForm | SeveralForm | ConvertedForm | None, years: int) -> tuple[WaterSource, ...]:
    """Its flow meters; a certificate without an end ends `years` after it was issued."""
    match form:
        case MeteredForm():
            return (_source(form, years),)
        case SeveralForm():
            return tuple(_source(each, years) for each in form.meters)
        case _:
            return ()


def _source(form: MeteredForm, years: int) -> WaterSource:
    plain = form.model_dump(exclude={"serial", "certificate"})
    certificate = completed(_certificate(form.certificate), years)
    return WaterSource(**plain, serial=form.serial or "", certificate=certificate)


def _energy(form: ConvertedForm) -> EnergySource:
    pump = {"coefficient", "running_kw", "running", "rated_m3h", "pumps"}
    sensors = {"depth", "datum_m", "pressure", "frequency", "power"}
    return EnergySource(
        **form.model_dump(
            exclude=pump | sensors | {"electricity", "ct", "pt", "ct_class_pct", "serial", "certificate"}
        ),
        ct_class_pct=_ct_class_pct(form),
        depth=_depth(form),
        pressure=form.pressure,
        frequency=form.frequency,
        power=form.power,
        meter=form.electricity,
        pumps=_pumps(form),
        ct_ratio=form.ct,
        pt_ratio=form.pt,
        serial=form.serial or "",
        certificate=_certificate(form.certificate),
    )


def _ct_class_pct(form: ConvertedForm) -> Decimal:
    """As configured; the usual class where there are transformers and nobody says how good they are."""
    if form.ct_class_pct is not None:
        return form.ct_class_pct
    return _USUAL_CT_CLASS_PCT if form.ct != 1 or form.pt != 1 else Decimal(0)


def _depth(form: ConvertedForm) -> Channel | None:
    """Where the depth to water comes from: told as such, or a level below a known datum."""
    if form.depth is None or form.datum_m is None:
        return form.depth
    return replace(form.depth, datum_m=form.datum_m)


def _pumps(form: ConvertedForm) -> tuple[PumpSource, ...]:
    """Its pumps; the only one runs at rated power where nothing else is written."""
    if form.pumps is None:
        only = PumpSource(
            id=_ONLY_PUMP,
            coefficients=form.coefficient or (),
            running_kw=form.rated_kw if form.running_kw is None else form.running_kw,
            running=form.running,
            rated_m3h=form.rated_m3h,
        )
        return (only,)
    return tuple(
        PumpSource(
            id=name,
            coefficients=each.coefficient,
            running_kw=each.running_kw,
            running=each.running,
            rated_m3h=each.rated_m3h,
        )
        for name, each in form.pumps.items()
    )
