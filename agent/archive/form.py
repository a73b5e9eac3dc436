"""The electronic archive of an intake's metering (取水计量设施电子档案), as pydantic models: the YAML of one file.

The keys are those of the metering guideline sheet §6. All may be left out; `checking` says which the platform asks for.
Flows are m³/h, save `max_m3s`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from agent.form.fields import Amount, Day, Kind, Section, Switch, Text, Whole, refusal, text_of
from agent.form.nodes import shown
from agent.intakes.kinds import Code, Digits, Flow, Length, Power, RatioText, Volume

_EAST_LOW, _EAST_HIGH, _NORTH_HIGH = Decimal(-180), Decimal(180), Decimal(90)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_YEARS = (2000, 2200)
_QUARTERS = 4
_MOST_MIN = 1440


class _LonLat(Kind):
    """East longitude and north latitude in degrees."""

    word = "lon-lat"

    def read(self, value: object) -> tuple[Decimal, Decimal]:
        number = Amount("-180", "180").read
        if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - longitude and latitude
            raise refusal("lon-lat", value=shown(value))
        east, north = (number(each) for each in value)
        if abs(north) > _NORTH_HIGH:
            raise refusal("lon-lat", value=f"[{east}, {north}]")
        return east, north

    def schema(self) -> dict[str, Any]:
        number = {"anyOf": [{"type": "number"}, {"type": "string"}]}
        return {"type": "array", "items": number, "minItems": 2, "maxItems": 2}


class _Sha256(Kind):
    word = "sha256"

    def read(self, value: object) -> str:
        text = text_of(value, "sha256")
        if not _SHA256.fullmatch(text):
            raise refusal("sha256", value=shown(text))
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_SHA256.pattern}$"}


LonLat = Annotated[tuple[Decimal, Decimal], _LonLat()]
Sha256 = Annotated[str, _Sha256()]
Reading = Annotated[Decimal, Amount("0", "1000000000000000")]


class ContactForm(Section):
    """Whom to call."""

    locale_name: ClassVar[str] = "archive-contact"
    name: Text | None = None
    post: Text | None = None
    phone: Text | None = None


class PointForm(Section):
    """The monitoring point (监测点)."""

    locale_name: ClassVar[str] = "archive-point"
    name: Text | None = None
    code: Code | None = None
    address: Text | None = None
    lon_lat: LonLat | None = None


class HolderForm(Section):
    """Who withdraws (取用水户)."""

    locale_name: ClassVar[str] = "archive-holder"
    name: Text | None = None
    code: Text | None = None
    contact: ContactForm = ContactForm()


class PlanForm(Section):
    """The plan of one year."""

    locale_name: ClassVar[str] = "archive-plan"
    year: Annotated[Whole, Field(ge=_YEARS[0], le=_YEARS[1])]
    quarters: list[Volume] = Field(min_length=_QUARTERS, max_length=_QUARTERS)


class PermitForm(Section):
    """The withdrawal permit."""

    locale_name: ClassVar[str] = "archive-permit"
    no: Text | None = None
    annual_10k_m3: Volume | None = None
    valid_to: Day | None = None
    plan_m3: PlanForm | None = None


class ManagerForm(Section):
    """The managing body (管理单位)."""

    locale_name: ClassVar[str] = "archive-manager"
    name: Text | None = None
    code: Text | None = None
    contact: ContactForm = ContactForm()


class TaxForm(Section):
    """Whether the volumes are a basis for the water-resources tax."""

    locale_name: ClassVar[str] = "archive-tax"
    levy_basis: Switch | None = None
    review_basis: Switch | None = None


class RiverForm(Section):
    """The river it lies on."""

    locale_name: ClassVar[str] = "archive-river"
    name: Text | None = None
    code: Text | None = None


class ArchivedIntakeForm(Section):
    """What is withdrawn, how and for what."""

    locale_name: ClassVar[str] = "archive-intake"
    river: RiverForm = RiverForm()
    source_type: Literal["surface", "ground", "recycled"] | None = None
    aquifer: Literal["shallow", "deep"] | None = None
    method: Text | None = None
    use: Text | None = None
    work_type: Text | None = None
    status: Literal["in_use", "standby", "sealed"] | None = None
    zone: Literal["normal", "overdraft", "restricted", "banned"] | None = None


class ArchivedPipeForm(Section):
    """The pipe at the meter."""

    locale_name: ClassVar[str] = "archive-pipe"
    material: Literal["steel", "pvc", "cast_iron", "other"] | None = None
    dn_mm: Length | None = None
    up_cm: Length | None = None
    down_cm: Length | None = None
    max_m3s: Flow | None = None


class StraightForm(Section):
    """The straight pipe that the maker asks for, in pipe diameters."""

    locale_name: ClassVar[str] = "archive-straight"
    up_dn: Annotated[Decimal, Amount("0", "100")]
    down_dn: Annotated[Decimal, Amount("0", "100")]


class ArchivedRangeForm(Section):
    """The flows that the meter is made for."""

    locale_name: ClassVar[str] = "archive-range"
    q1: Flow | None = None
    q3: Flow | None = None
    q4: Flow | None = None


class ArchivedCertificateForm(Section):
    """Its verification certificate."""

    locale_name: ClassVar[str] = "archive-cert"
    no: Text | None = None
    body: Text | None = None
    date: Day | None = None
    valid_to: Day | None = None
    sha256: Sha256 | None = None


class InstalledForm(Section):
    """Who installed it and when."""

    locale_name: ClassVar[str] = "archive-installed"
    by: Text | None = None
    contact: ContactForm = ContactForm()
    date: Day | None = None


class MeteringForm(Section):
    """How it is metered and with what."""

    locale_name: ClassVar[str] = "archive-metering"
    way: Literal["direct_online", "direct_offline", "electricity", "level_rating", "velocity", "rated_pump"] | None = (
        None
    )
    pipe: ArchivedPipeForm = ArchivedPipeForm()
    straight: StraightForm | None = None
    meter_type: Literal["ultrasonic_transit", "electromagnetic", "remote_meter", "other"] | None = None
    mounting: Literal["inline", "insertion", "clamp_on", "internal", "other"] | None = None
    range: ArchivedRangeForm = ArchivedRangeForm()
    signal: Literal["digital", "analog", "other"] | None = None
    serial: Text | None = None
    maker: Text | None = None
    accuracy_class: Text | None = Field(default=None, alias="class")
    cert: ArchivedCertificateForm = ArchivedCertificateForm()
    installed: InstalledForm = InstalledForm()


class ArchivedPumpForm(Section):
    """The pump on the energy meter."""

    locale_name: ClassVar[str] = "archive-pump"
    model: Text | None = None
    kw: Power | None = None
    rated_q: Flow | None = None
    rated_h: Length | None = None
    depth_m: Length | None = None
    installed: Day | None = None


class ArchivedElectricityForm(Section):
    """The energy meter."""

    locale_name: ClassVar[str] = "archive-electricity"
    utility: Text | None = None
    account: Text | None = None
    meter_no: Text | None = None
    digits: Digits | None = None
    decimals: Annotated[Whole, Field(ge=0, le=6)] | None = None
    multiplier: Annotated[Decimal, Amount("0.000001", "1000000000")] | None = None
    ct: RatioText | None = None
    pt: RatioText | None = None
    register_is_primary: Switch | None = None
    loads_on_meter: list[Text] = Field(default_factory=list)
    start_reading: Reading | None = None
    start_date: Day | None = None
    pump: ArchivedPumpForm = ArchivedPumpForm()
    coefficient: Text | None = None


class TransmissionForm(Section):
    """How its data travel."""

    locale_name: ClassVar[str] = "archive-transmission"
    channel: Literal["beidou", "cellular", "sms", "uhf", "wired", "other"] | None = None
    mount: Literal["pole", "wall", "pedestal", "other"] | None = None
    power: Literal["solar", "mains", "hybrid", "other"] | None = None
    signal: Literal["strong", "fair", "weak"] | None = None
    sim_owner: Literal["holder", "contractor", "other"] | None = None
    protocol: Text | None = None
    interval_min: Annotated[Whole, Field(ge=1, le=_MOST_MIN)] | None = None
    terminal_id: Text | None = None


class HistoryForm(Section):
    """One change of the installation (Colorado form 3.1 has what a swap notice holds)."""

    locale_name: ClassVar[str] = "archive-history"
    date: Day
    event: Literal["swap", "repair", "ct_change", "relocation", "seal", "other"]
    reason: Text
    old_serial: Text | None = None
    old_final: Reading | None = None
    new_serial: Text | None = None
    new_initial: Reading | None = None
    seal_old: Text | None = None
    seal_new: Text | None = None
    tester: Text | None = None
    passed: Switch | None = None


class ArchiveForm(Section):
    """The whole file."""

    locale_name: ClassVar[str] = "archive"
    point: PointForm = PointForm()
    holder: HolderForm = HolderForm()
    permit: PermitForm = PermitForm()
    manager: ManagerForm = ManagerForm()
    tax: TaxForm = TaxForm()
    intake: ArchivedIntakeForm = ArchivedIntakeForm()
    metering: MeteringForm = MeteringForm()
    electricity: ArchivedElectricityForm | None = None
    transmission: TransmissionForm = TransmissionForm()
    history: list[HistoryForm] = Field(default_factory=list)
