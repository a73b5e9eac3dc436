"""The YAML of an intake (取水口), as pydantic models. `settings` holds the same as plain data."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Tag

from agent.derive.energy import OVERLOAD_FACTOR, PUMP_ON_FRACTION
from agent.form.fields import Amount, Day, DurationMs, Name, Number, Section, Switch, Text, Whole
from agent.form.variants import OrText, told_by
from agent.intakes.kinds import (
    ChannelText,
    Code,
    Coefficients,
    Digits,
    Flow,
    Heads,
    Length,
    Percent,
    Power,
    Ratio,
    RuleName,
    Season,
    Step,
    Volume,
)

_MOST_METERS = 8
_MOST_SAMPLES = 1000

Use = Literal["in_use", "standby", "sealed"]
Total = Literal["volume_forward", "volume_net", "volume_reverse"]


class CertificateForm(Section):
    """A verification or calibration certificate."""

    locale_name: ClassVar[str] = "certificate"
    number: Text | None = None
    issued: Day | None = None
    valid_until: Day | None = None


class PermitForm(Section):
    """A withdrawal permit."""

    locale_name: ClassVar[str] = "permit"
    number: Text
    holder: Text | None = None
    annual_m3: Volume | None = None
    plan_m3: list[Volume] = Field(default_factory=list)
    valid_from: Day | None = None
    valid_until: Day | None = None


class StatusForm(Section):
    """From when an intake is used how."""

    locale_name: ClassVar[str] = "intake-status"
    use: Use
    since: Day | None = None


class OnlineForm(Section):
    """From which volume, or area, an intake must report on-line."""

    locale_name: ClassVar[str] = "online"
    surface_m3: Volume = Decimal(500_000)  # metering guideline sheet §1.5
    ground_m3: Volume = Decimal(50_000)
    head_mu: Volume = Decimal(50_000)


class RangeForm(Section):
    """The flows that the meter is made for."""

    locale_name: ClassVar[str] = "intake-range"
    q1_m3h: Flow | None = None
    q3_m3h: Flow | None = None
    q4_m3h: Flow | None = None
    start_m3h: Flow | None = None


class PipeForm(Section):
    """The pipe at the meter."""

    locale_name: ClassVar[str] = "pipe"
    dn_mm: Length | None = None
    material: Literal["steel", "pvc", "cast_iron", "other"] | None = None
    up_cm: Length | None = None
    down_cm: Length | None = None


class MeteredForm(Section):
    """A flow meter."""

    locale_name: ClassVar[str] = "water-meter"
    meter: Name
    quantity: Total = "volume_forward"
    digits: Digits = 9
    step_m3: Step = Decimal("0.001")
    factor: Step = Decimal(1)
    class_pct: Percent = Decimal(2)
    back_m3h: Flow = Decimal(0)
    serial: Text | None = None
    certificate: CertificateForm | None = None


class SeveralForm(Section):
    """Flow meters whose water is added up."""

    locale_name: ClassVar[str] = "water-meters"
    meters: list[Annotated[MeteredForm, OrText("meter")]] = Field(min_length=1, max_length=_MOST_METERS)


class PumpForm(Section):
    """One of several pumps on an energy meter."""

    locale_name: ClassVar[str] = "pump"
    coefficient: Coefficients
    running_kw: Power
    running: ChannelText | None = None
    rated_m3h: Flow | None = None


class ConvertedForm(Section):
    """Water from electricity (以电折水)."""

    locale_name: ClassVar[str] = "water-electricity"
    electricity: Name
    coefficient: Coefficients | None = None
    rated_kw: Annotated[Decimal, Amount("0.01", "100000")]
    running_kw: Power | None = None
    running: ChannelText | None = None
    rated_m3h: Flow | None = None
    pumps: dict[Name, PumpForm] | None = Field(default=None, min_length=1)
    ct: Ratio = Decimal(1)
    pt: Ratio = Decimal(1)
    register_is_primary: Switch = False
    digits: Digits = 6
    step_kwh: Step = Decimal("0.01")
    class_pct: Percent = Decimal(1)
    ct_class_pct: Percent | None = None
    aux_kw: Power = Decimal(0)
    standby_kw: Power | None = None
    pump_on_fraction: Annotated[Decimal, Amount("0.01", "0.9")] = PUMP_ON_FRACTION
    overload_factor: Annotated[Decimal, Amount("1", "10")] = OVERLOAD_FACTOR
    head_m: Heads | None = None
    depth: ChannelText | None = None
    datum_m: Annotated[Decimal, Amount("-1000", "9000")] | None = None
    pressure: ChannelText | None = None
    frequency: ChannelText | None = None
    power: ChannelText | None = None
    serial: Text | None = None
    certificate: CertificateForm | None = None


Water = Annotated[
    Annotated[MeteredForm, Tag("metered")]
    | Annotated[SeveralForm, Tag("several")]
    | Annotated[ConvertedForm, Tag("converted")],
    told_by("metered", electricity="converted", meters="several"),
]


class RuleForm(Section):
    """What a site sets of a quality rule."""

    locale_name: ClassVar[str] = "intake-rule"
    enabled: Switch = True
    suspect: Number | None = None
    fail: Number | None = None
    hold_off: Annotated[int, DurationMs("0s", "3650d")] | None = None
    min_samples: Annotated[Whole, Field(ge=1, le=_MOST_SAMPLES)] | None = None


class IntakeForm(Section):
    """What permits and platforms know as one intake."""

    locale_name: ClassVar[str] = "intake"
    code: Code
    name: Text | None = None
    source: Literal["surface", "ground", "recycled"] = "ground"
    aquifer: Literal["shallow", "deep"] | None = None
    water_zone: Literal["normal", "overdraft", "restricted", "banned"] = "normal"
    status: Annotated[list[StatusForm], OrText("use", is_list=True)] = Field(default_factory=list)
    permit: PermitForm | None = None
    category: Literal["industry", "domestic", "service", "irrigation_head", "well", "transfer"] = "well"
    area_mu: Volume | None = None
    online: OnlineForm = OnlineForm()
    range: RangeForm = RangeForm()
    pipe: PipeForm = PipeForm()
    season: Season | None = None
    water: Water
    check: Water | None = None
    heads: list[ChannelText] = Field(default_factory=list)
    rules: dict[RuleName, RuleForm] = Field(default_factory=dict)
    archive: Text | None = None
