"""Rules about duties: frequency (R5), certificates (R15), permit and plan (R17, R18), licence (R19), status (R20)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from agent.derive.exact import PERCENT, ZERO, midnight_ms
from agent.derive.flags import Flag, Qartod
from agent.intakes.certificates import CertificateState, state_of
from agent.intakes.outcome import Heard
from agent.intakes.settings import EnergySource, Use, WaterSource
from agent.rules.compliance import prewarning
from agent.rules.contract import Standing, Step
from agent.rules.episodes import NOTICE, Verdict, not_judged, passed
from agent.rules.site import RuleSite, told

LICENCE_NOTICE_DAYS = 90  # M7, R19
NOTICE_BELOW_PCT = Decimal(10)  # M7, R17: 80 % notice, 90 % warning
_TRAILING_DAYS = 30  # M7, R17
_REPEATS_PCT = Decimal(1)  # M7, R5: duplicates > 1 %; off-grid times likewise
_OFF_GRID_MS = 300_000  # M7, R5
_NEAR = ("R17", "R18")
_MONTHS = 12
_PERIODS = 2  # the year and the plan's month or quarter
_CERTIFICATES = {
    CertificateState.DUE_SOON: NOTICE,
    CertificateState.OVERDUE: Qartod.SUSPECT,
    CertificateState.OVERDUE_LONG: Qartod.FAIL,
}
_STATES = {
    Flag.DUE_SOON: NOTICE,
    Flag.EXPIRED_GRACE: Qartod.SUSPECT,
    Flag.EXPIRED: Qartod.FAIL,
    Flag.NOT_YET_VALID: Qartod.FAIL,
    Flag.NO_COEFFICIENT: Qartod.FAIL,
}


@dataclass(slots=True)
class Received:
    """What came from a meter since local midnight, by slots of its poll period."""

    last_slot: int = -1
    slots: int = 0
    repeats: int = 0
    off_grid: int = 0


@dataclass(slots=True)
class DutyMemory:
    """`began_ms`: when the account began; `midnights`: the last standings at midnight as (UTC ms, total m³);
    `bases`: the total at the beginning of the year and of the plan's period, by their first day.
    """

    began_ms: int | None = None
    day: str = ""
    is_whole: bool = False
    received: dict[str, Received] = field(default_factory=dict)
    midnights: tuple[Standing, ...] = ()
    bases: dict[str, Decimal] = field(default_factory=dict)


class Duty:
    """R5, R15, R17, R18, R19, R20 of one intake."""

    def __init__(self, site: RuleSite, memory: DutyMemory) -> None:
        self._site = site
        self._memory = memory
        self._left: dict[date, tuple[date, Decimal]] = {}

    # --- each round

    def heard(self, heard: Heard) -> Iterator[Verdict]:
        """Counts the round for R5; with the first one of a local day judges the day before, certificates, licence."""
        if heard.is_manual:
            return
        memory, today = self._memory, self._site.day(heard.at_ms)
        if memory.began_ms is None:
            memory.began_ms, memory.day = heard.at_ms, today.isoformat()
            yield from self._new_day(today, heard.at_ms)
        while (before := date.fromisoformat(memory.day)) < today:
            if memory.is_whole:
                yield from self._frequency(before)
            memory.day, memory.is_whole = (before + timedelta(days=1)).isoformat(), True
            memory.received.clear()
            if before + timedelta(days=1) == today:
                yield from self._new_day(today, heard.at_ms)
        self._count(heard)

    def _count(self, heard: Heard) -> None:
        owed = self._site.wanted.get(heard.meter)
        if owed is None or not any(name in heard.values for name in owed):
            return
        period_ms = self._site.period_ms(heard.meter)
        slot, late_ms = divmod(heard.at_ms, period_ms)
        found = self._memory.received.setdefault(heard.meter, Received())
        found.off_grid += late_ms > _OFF_GRID_MS
        if slot > found.last_slot:
            found.slots, found.last_slot = found.slots + 1, slot
        elif slot == found.last_slot:
            found.repeats += 1

    # --- R5

    def _frequency(self, day: date) -> Iterator[Verdict]:
        """R5 of a whole local day: slots received of those scheduled; repeats and times off the grid above 1 % → 3."""
        begin_ms = midnight_ms(day, self._site.settings.zone)
        end_ms = midnight_ms(day + timedelta(days=1), self._site.settings.zone)
        limits = self._site.limits["R5"]
        assert limits.suspect is not None
        assert limits.fail is not None
        is_sealed = self._site.settings.use_on(day) is Use.SEALED
        for meter in self._site.wanted:
            scheduled = Decimal((end_ms - begin_ms) // self._site.period_ms(meter))
            got = self._memory.received.get(meter, Received())
            rate_pct = PERCENT * got.slots / max(scheduled, Decimal(1))
            extra_pct = PERCENT * max(got.repeats, got.off_grid) / max(scheduled, Decimal(1))
            found = Qartod.SUSPECT if rate_pct < limits.suspect or extra_pct > _REPEATS_PCT else Qartod.PASS
            if rate_pct < limits.fail:
                found = Qartod.FAIL
            if found == Qartod.PASS or is_sealed:
                yield passed("R5", f"meter/{meter}", "", begin_ms)
                continue
            evidence = {
                "day": day.isoformat(),
                "scheduled": str(scheduled),
                "received": str(got.slots),
                "rate_pct": told(rate_pct),
                "repeats": str(got.repeats),
                "off_grid": str(got.off_grid),
            }
            yield Verdict("R5", f"meter/{meter}", "", begin_ms, found, holds=True, evidence=evidence)

    # --- R15, R19: once a day

    def _new_day(self, today: date, at_ms: int) -> Iterator[Verdict]:
        settings = self._site.settings
        sources: list[WaterSource | EnergySource] = [
            *settings.water,
            *settings.check_meters,
            *([] if settings.energy is None else [settings.energy]),
        ]
        for source in sources:
            yield self._certificate(source, today, at_ms)
        yield from self._licence(today, at_ms)

    def _certificate(self, source: WaterSource | EnergySource, today: date, at_ms: int) -> Verdict:
        """R15: DUE_SOON from 60 days before the last valid day, OVERDUE after it, OVERDUE_LONG after 180 days more."""
        limits, subject, quantity = self._site.limits["R15"], f"meter/{source.meter}", source.quantity
        until = None if source.certificate is None else source.certificate.valid_until
        began_ms = at_ms if self._memory.began_ms is None else self._memory.began_ms
        state = state_of(
            until,
            today,
            installed=self._site.day(began_ms),
            soon_days=int(limits.suspect or 0),
            long_days=int(limits.fail or 0),
        )
        if state not in _CERTIFICATES:
            return passed("R15", subject, quantity, at_ms)
        number = "" if source.certificate is None else source.certificate.number
        evidence = {
            "state": state.value,
            "certificate": number,
            "valid_until": "" if until is None else until.isoformat(),
        }
        return Verdict("R15", subject, quantity, at_ms, _CERTIFICATES[state], holds=True, evidence=evidence)

    def _licence(self, today: date, at_ms: int) -> Iterator[Verdict]:
        """R19: 90 days before the permit's last day a notice, 30 days a warning, on it and after it an alarm."""
        permit, limits = self._site.settings.permit, self._site.limits["R19"]
        if permit is None or permit.valid_until is None:
            yield passed("R19", self._site.place, "", at_ms)
            return
        left = (permit.valid_until - today).days
        evidence = {"permit": permit.number, "valid_until": permit.valid_until.isoformat(), "days_left": str(left)}
        found = None
        if left <= LICENCE_NOTICE_DAYS:
            found = NOTICE
        if limits.suspect is not None and left <= limits.suspect:
            found = Qartod.SUSPECT
        if limits.fail is not None and left <= limits.fail:
            found = Qartod.FAIL
        if found is None:
            yield passed("R19", self._site.place, "", at_ms)
        else:
            yield Verdict("R19", self._site.place, "", at_ms, found, holds=True, evidence=evidence)

    # --- each interval

    def stepped(self, step: Step) -> Iterator[Verdict]:
        """R15 of the coefficient that converted it; R19 and R20: water where there must be none."""
        yield from self._coefficient(step)
        is_check = any((each.meter, each.quantity) == (step.meter, step.quantity)
                       for each in self._site.settings.check_meters)  # fmt: skip
        if step.volume_m3 is None or is_check:
            return
        settings, today = self._site.settings, self._site.day(step.begin_ms)
        place, volume, permit = self._site.place, step.volume_m3, settings.permit
        if permit is not None and permit.valid_until is not None:
            evidence = {
                "permit": permit.number,
                "valid_until": permit.valid_until.isoformat(),
                "volume_m3": told(volume),
            }
            is_late = today > permit.valid_until and volume > 0
            yield _found(("R19", place, "volume_withdrawn"), step.end_ms, evidence, holds=is_late)
        use, least = settings.use_on(today), self._site.limits["R20"].fail or ZERO
        is_wrong = volume > least and (use is not Use.IN_USE or settings.water_zone == "banned")
        evidence = {"status": use.value, "zone": settings.water_zone, "volume_m3": told(volume)}
        yield _found(("R20", place, "volume_withdrawn"), step.end_ms, evidence, holds=is_wrong)

    def _coefficient(self, step: Step) -> Iterator[Verdict]:
        """R15 of a coefficient, as its words say; only an interval that pumped used one."""
        if not step.pumping_kwh:
            return
        state = next((flag for flag in reversed(_STATES) if flag in step.flags), None)
        if state is None:
            yield passed("R15", self._site.place, "coefficient", step.end_ms)
        else:
            level, evidence = _STATES[state], {"state": state.value}
            yield Verdict("R15", self._site.place, "coefficient", step.end_ms, level, holds=True, evidence=evidence)

    # --- each closing

    def stood(self, standing: Standing) -> Iterator[Verdict]:
        """R17 and R18 at a full hour; at local midnight also takes in the day for the trailing mean."""
        memory, local = self._memory, self._site.calendar.at(standing.at_ms)
        today = local.day
        if standing.at_ms == local.begin_ms:
            memory.midnights = (*memory.midnights, standing)[-_TRAILING_DAYS - 1 :]
        permit = self._site.settings.permit
        periods: dict[str, tuple[date, date, Decimal]] = {}
        if permit is not None and permit.annual_m3 is not None:
            periods["R17"] = (date(today.year, 1, 1), date(today.year + 1, 1, 1), permit.annual_m3)
        if permit is not None and permit.plan_m3:
            periods["R18"] = plan_period(today, permit.plan_m3)
        for rule in _NEAR:
            if rule not in periods:
                yield passed(rule, self._site.place, "volume_withdrawn", standing.at_ms)
        known = {f"{rule} {first}": (rule, first, last, most) for rule, (first, last, most) in periods.items()}
        memory.bases = {key: memory.bases[key] if key in memory.bases else self._base(known[key][1], standing)
                        for key in known}  # fmt: skip
        for key, (rule, first, last, most) in known.items():
            yield self._near(rule, standing, memory.bases[key], (first, last), most)

    def _base(self, first: date, standing: Standing) -> Decimal:
        """The total at the beginning of a period: 0 where the account began in it, else the last one at or before."""
        begin_ms = midnight_ms(first, self._site.settings.zone)
        if self._memory.began_ms is not None and self._memory.began_ms >= begin_ms:
            return ZERO
        earlier = [each.volume_m3 for each in (*self._memory.midnights, standing) if each.at_ms <= begin_ms]
        return earlier[-1] if earlier else standing.volume_m3

    def _near(self, rule: str, standing: Standing, base: Decimal, period: tuple[date, date], most: Decimal) -> Verdict:
        """R17, R18: 80 % notice, 90 % warning, 100 % alarm; a forecast above it is a warning at any level."""
        limits, place = self._site.limits[rule], self._site.place
        if most <= 0:
            return not_judged(rule, place, "volume_withdrawn", standing.at_ms)
        assert limits.suspect is not None
        assert limits.fail is not None
        today = self._site.day(standing.at_ms)
        mean, days_left = self._mean(limits.min_samples), self._days_left(today, period[1])
        used = standing.volume_m3 - base
        levels = (limits.suspect - NOTICE_BELOW_PCT, limits.suspect, limits.fail)
        said = prewarning(
            permit_m3=most, used_m3=used, mean_m3_per_day=mean or ZERO, days_left=days_left, levels_pct=()
        )
        reached = sum(said.used_pct >= each for each in levels)
        found = (None, NOTICE, Qartod.SUSPECT, Qartod.FAIL)[reached]
        is_forecast = mean is not None and said.forecast_exceeds and days_left > 0
        if is_forecast and found in {None, NOTICE}:
            found = Qartod.SUSPECT
        if found is None:
            return passed(rule, place, "volume_withdrawn", standing.at_ms)
        evidence = {
            "from": period[0].isoformat(),
            "most_m3": told(most),
            "used_m3": told(used),
            "used_pct": told(said.used_pct.quantize(Decimal("0.1"))),
            "forecast_m3": told(said.forecast_m3.quantize(Decimal(1))) if mean is not None else "",
        }
        return Verdict(rule, place, "volume_withdrawn", standing.at_ms, found, holds=True, evidence=evidence)

    def _mean(self, least_days: int) -> Decimal | None:
        """The mean of the last 30 days, m³ a day; None before there are `least_days`."""
        midnights = self._memory.midnights
        days = len(midnights) - 1
        if days < least_days:
            return None
        ms = midnights[-1].at_ms - midnights[0].at_ms
        return (midnights[-1].volume_m3 - midnights[0].volume_m3) * 86_400_000 / Decimal(ms)

    def _days_left(self, today: date, end: date) -> Decimal:
        """The days until the period ends, today included; with a season those of it: wells rest for the others."""
        known = self._left.get(end)
        if known is None or known[0] != today:
            days = (today + timedelta(days=at) for at in range((end - today).days))
            known = (today, Decimal(sum(self._site.in_season(day) for day in days)))
            self._left = {**self._left, end: known} if len(self._left) < _PERIODS else {end: known}
        return known[1]


def _found(where: tuple[str, str, str], at_ms: int, evidence: Mapping[str, str], *, holds: bool) -> Verdict:
    """An alarm or nothing; `where` are rule, subject and quantity."""
    if not holds:
        return passed(*where, at_ms)
    return Verdict(*where, at_ms, Qartod.FAIL, holds=True, evidence=evidence)


def plan_period(today: date, plan_m3: tuple[Decimal, ...]) -> tuple[date, date, Decimal]:
    """The quarter or month of a plan that a day lies in: its first day, the first day after it, its volume."""
    months = _MONTHS // len(plan_m3)
    at = (today.month - 1) // months
    first = date(today.year, at * months + 1, 1)
    following = at * months + months
    last = date(today.year + following // _MONTHS, following % _MONTHS + 1, 1)
    return first, last, plan_m3[at]
