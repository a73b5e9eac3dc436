"""R5, R15, R17, R18, R19, R20 and the duty to report on-line."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from agent.derive.exact import midnight_ms
from agent.derive.flags import Flag
from agent.intakes.certificates import CertificateState, state_of
from agent.intakes.settings import Certificate, IntakeSettings, Obligation, Permit, SourceType, StatusChange, Use
from agent.rules.compliance import prewarning
from agent.rules.contract import Standing
from agent.rules.duty import plan_period
from agent.rules.online import is_online, obliged
from tests.agent.rules.plain import BEGIN, DAY, HOUR, METERED, MIN, ZONE, D, Shown, both_ways, energy, water, with_rule

FIVE = 5 * MIN
ALONE = replace(METERED, energy=None, periods_ms={"flow": FIVE}, permit=None)
SLOTS = DAY // FIVE


def polls(shown: Shown, day: int, slots: range, late_ms: int = 0) -> None:
    for slot in slots:
        shown.hear(BEGIN + day * DAY + slot * FIVE + late_ms, volume_forward=1)


# --- R5


@pytest.mark.parametrize(("received", "level"), [(288, None), (274, None), (273, 3), (231, 3), (230, 4), (1, 4)])
def test_a_day_with_too_few_records_is_told_at_its_end(received, level):
    shown = Shown(with_rule(ALONE, "R1", enabled=False))
    polls(shown, 0, range(SLOTS))
    polls(shown, 1, range(received))
    assert shown.of("R5") == []
    polls(shown, 2, range(2))
    assert shown.told("R5") == ([] if level is None else [(level, False)])
    if level:
        found = shown.of("R5")[0]
        assert found.began_ms == BEGIN + DAY
        assert (found.evidence["received"], found.evidence["scheduled"]) == (str(received), "288")


def test_the_first_part_of_a_day_is_not_judged_and_a_good_day_ends_it():
    def play(shown: Shown) -> None:
        polls(shown, 0, range(200, SLOTS))
        polls(shown, 1, range(0, SLOTS, 2))
        polls(shown, 2, range(SLOTS))
        polls(shown, 3, range(1))

    shown = both_ways(play, with_rule(ALONE, "R1", enabled=False))
    assert shown.told("R5") == [(4, False), (4, True)]
    assert shown.of("R5")[1].ended_ms == BEGIN + 2 * DAY


def test_repeats_and_times_off_the_grid_are_told_above_one_per_cent():
    for extra, wanted in ((2, []), (3, [3])):
        shown = Shown(ALONE)
        polls(shown, 0, range(SLOTS))
        for slot in range(SLOTS):
            polls(shown, 1, range(slot, slot + 1))
            if slot < extra:
                shown.hear(BEGIN + DAY + slot * FIVE + 1000, volume_forward=1)
        polls(shown, 2, range(1))
        assert [each.level for each in shown.of("R5")] == wanted
    for late_ms, wanted in ((5 * MIN, []), (5 * MIN + 1, [3])):
        shown = Shown(replace(ALONE, periods_ms={"flow": HOUR}))
        for hour in range(50):
            shown.hear(BEGIN + hour * HOUR + late_ms, volume_forward=1)
        assert [each.level for each in shown.of("R5")] == wanted


# --- R15


@pytest.mark.parametrize(
    ("days", "state"),
    [(61, "VALID"), (60, "VALID"), (59, "DUE_SOON"), (0, "DUE_SOON"), (-1, "OVERDUE"), (-180, "OVERDUE"),
     (-181, "OVERDUE_LONG")],
)  # fmt: skip
def test_the_state_of_a_certificate_follows_its_last_day(days, state):
    today = date(2026, 5, 1)
    until = today + timedelta(days=days)
    assert state_of(until, today, installed=today, soon_days=60, long_days=180) == state


def test_a_missing_certificate_is_overdue_after_ninety_days():
    begun = date(2026, 5, 1)
    states = [
        state_of(None, begun + timedelta(days=days), installed=begun, soon_days=60, long_days=180)
        for days in (0, 90, 91)
    ]
    assert states == [CertificateState.UNKNOWN, CertificateState.UNKNOWN, CertificateState.OVERDUE]


def certified(until: date | None) -> IntakeSettings:
    return replace(ALONE, water=(replace(ALONE.water[0], certificate=Certificate(number="C-9", valid_until=until)),))


def test_a_certificate_that_ends_is_a_notice_then_suspect_then_fails():
    def play(shown: Shown) -> None:
        for day in range(0, 300, 20):
            shown.hear(BEGIN + day * DAY, volume_forward=1)

    shown = both_ways(play, with_rule(certified(date(2026, 7, 9)), "R1", enabled=False))
    found = shown.of("R15")
    assert [(each.level, each.evidence["state"]) for each in found] == [
        (1, "DUE_SOON"),
        (3, "OVERDUE"),
        (4, "OVERDUE_LONG"),
    ]
    assert {each.subject for each in found} == {"meter/flow"}
    assert Shown(certified(date(2027, 7, 9))).hear(BEGIN, volume_forward=1).levels["R15"] == 1


@pytest.mark.parametrize(
    ("flag", "level"),
    [(None, None), (Flag.DUE_SOON, 1), (Flag.EXPIRED_GRACE, 3), (Flag.EXPIRED, 4), (Flag.NO_COEFFICIENT, 4)],
)
def test_a_coefficients_state_is_told_from_the_intervals_that_used_it(flag, level):
    def play(shown: Shown) -> None:
        flags = () if flag is None else (flag,)
        shown.hear(BEGIN + MIN, "kwh", steps=[energy(BEGIN, BEGIN + MIN, 1, 1, *flags)], energy_import=1)
        shown.hear(BEGIN + 2 * MIN, "kwh", steps=[energy(BEGIN + MIN, BEGIN + 2 * MIN, 0, 0)], energy_import=1)
        assert [each.ended_ms for each in shown.of("R15")] == ([] if level is None else [None])
        shown.hear(BEGIN + 3 * MIN, "kwh", steps=[energy(BEGIN + 2 * MIN, BEGIN + 3 * MIN, 1, 1)], energy_import=2)

    told = both_ways(play).told("R15", "coefficient")
    assert told == ([] if level is None else [(level, False), (level, True)])


# --- R17, R18


def year(shown: Shown, volumes: list[Decimal], first: date = date(2026, 1, 1)) -> None:
    """Closings at local midnight, each after a day with this volume; the account begins with the first day."""
    total = D(0)
    begin = midnight_ms(first, ZONE)
    shown.hear(begin + 1, volume_forward=1)
    for day, volume in enumerate(volumes, 1):
        total += volume
        at = midnight_ms(first + timedelta(days=day), ZONE)
        shown.hear(at, standings=[Standing(at, total)], volume_forward=1)


def permitted(annual: object, plan: tuple[object, ...] = (), until: date | None = None) -> IntakeSettings:
    permit = Permit(
        number="D1",
        annual_m3=None if annual is None else D(str(annual)),
        plan_m3=tuple(D(str(each)) for each in plan),
        valid_until=until,
    )
    return with_rule(replace(ALONE, permit=permit), "R1", enabled=False)


def test_eighty_ninety_and_a_hundred_per_cent_of_the_permit_are_told_once_each():
    used = [D(79), D(1), D(9), D(1), D(9), D(1), D(5)]
    shown = Shown(permitted(100))
    year(shown, used)
    assert [(each.level, each.evidence["used_pct"]) for each in shown.of("R17")] == [(1, "80"), (3, "90"), (4, "100")]


def test_a_forecast_above_the_permit_warns_at_any_level_once_there_are_seven_days():
    shown = Shown(permitted(3000))
    year(shown, [D(10)] * 6)
    assert shown.of("R17") == []
    shown = Shown(permitted(3000))
    year(shown, [D(10)] * 8)  # seven whole days between midnights
    assert [each.level for each in shown.of("R17")] == [3]
    assert D(shown.of("R17")[0].evidence["forecast_m3"]) == 80 + 10 * 357
    assert [each.level for each in judged(permitted(3651), [D(10)] * 40).of("R17")] == []


def judged(settings: IntakeSettings, volumes: list[Decimal]) -> Shown:
    shown = Shown(settings)
    year(shown, volumes)
    return shown


def test_a_well_is_forecast_over_its_season_alone():
    seasonal = replace(permitted(3000), season=((1, 1), (3, 1)))
    assert judged(seasonal, [D(10)] * 40).of("R17") == []


def test_a_new_year_begins_at_nothing():
    def play(shown: Shown) -> None:
        year(shown, [D(50), D(50), D(0), D(1), D(1)], first=date(2025, 12, 29))

    shown = both_ways(play, permitted(100))
    assert [(each.level, each.ended_ms is not None) for each in shown.of("R17")] == [(4, False), (4, True)]
    assert shown.of("R17")[1].ended_ms == midnight_ms(date(2026, 1, 1), ZONE)


@checked(deadline=None, max_examples=40)
@given(st.lists(st.decimals(0, 40, places=1), min_size=1, max_size=12), st.integers(50, 300))
def test_used_and_forecast_are_those_of_the_sheet(volumes, annual):
    shown = Shown(with_rule(permitted(annual), "R17", suspect=D(-1000), fail=D(10_000)))
    year(shown, volumes)  # thresholds that every day reaches, so that every day is told
    found = shown.of("R17")[-1]
    days = min(len(volumes), 30) - 1
    mean = None if days < 7 else sum(volumes[1:], D(0)) / days
    wanted = prewarning(permit_m3=D(annual), used_m3=volumes[0], mean_m3_per_day=D(0), days_left=D(364), levels_pct=[])
    assert D(found.evidence["used_pct"]) == wanted.used_pct.quantize(D("0.1"))
    assert mean is None or mean >= 0


@pytest.mark.parametrize(
    ("plan", "day", "wanted"),
    [
        ((1, 2, 3, 4), date(2026, 1, 1), (date(2026, 1, 1), date(2026, 4, 1), 1)),
        ((1, 2, 3, 4), date(2026, 12, 31), (date(2026, 10, 1), date(2027, 1, 1), 4)),
        (tuple(range(12)), date(2026, 12, 1), (date(2026, 12, 1), date(2027, 1, 1), 11)),
        (tuple(range(12)), date(2028, 2, 29), (date(2028, 2, 1), date(2028, 3, 1), 1)),
    ],
)
def test_a_plan_has_quarters_or_months(plan, day, wanted):
    assert plan_period(day, plan) == wanted


def test_a_plan_is_judged_by_its_own_month():
    plan = (100, 1000, *[1000] * 10)
    shown = judged(permitted(None, plan), [D(3)] * 27 + [D(10)] * 2 + [D(1)] * 6)
    assert shown.of("R17") == []
    assert [(each.level, each.ended_ms is None) for each in shown.of("R18")] == [
        (1, True),
        (3, True),
        (4, True),
        (4, False),
    ]


# --- R19, R20


@pytest.mark.parametrize(("left", "level"), [(91, None), (90, 1), (31, 1), (30, 3), (1, 3), (0, 4), (-5, 4)])
def test_a_permit_that_ends_is_told_ninety_and_thirty_days_before_and_on_its_last_day(left, level):
    shown = Shown(permitted(None, until=date(2026, 5, 1) + timedelta(days=left)))
    shown.hear(BEGIN, volume_forward=1)
    assert shown.told("R19") == ([] if level is None else [(level, False)])


def test_water_after_the_permits_end_is_an_alarm():
    shown = Shown(permitted(None, until=date(2026, 4, 30)))
    shown.hear(BEGIN, steps=[water(BEGIN - HOUR, BEGIN, 5)], volume_forward=1)
    assert shown.told("R19", "volume_withdrawn") == []
    shown.hear(BEGIN + HOUR, steps=[water(BEGIN, BEGIN + HOUR, 0)], volume_forward=1)
    assert shown.told("R19", "volume_withdrawn") == []
    shown.hear(BEGIN + 2 * HOUR, steps=[water(BEGIN + HOUR, BEGIN + 2 * HOUR, 5)], volume_forward=1)
    assert shown.told("R19", "volume_withdrawn") == [(4, False)]


@pytest.mark.parametrize("how", ["sealed", "standby", "banned"])
def test_water_where_there_must_be_none_is_told_and_ends_after_a_day_without(how):
    def play(shown: Shown) -> None:
        for hour in range(60):
            volume = "0.001" if hour == 30 else 1 if how != "banned" and hour < 24 else 0
            end = BEGIN + (hour + 1) * HOUR
            shown.hear(end, steps=[water(end - HOUR, end, volume)], volume_forward=1)

    status = (StatusChange(use=Use.SEALED if how == "sealed" else Use.STANDBY, since=date(2026, 5, 2)),)
    settings = replace(ALONE, water_zone="banned") if how == "banned" else replace(ALONE, statuses=status)
    shown = both_ways(play, with_rule(replace(settings, periods_ms={"flow": HOUR}), "R1", enabled=False))
    assert shown.told("R20") == [(4, False), (4, True)]
    assert (shown.of("R20")[0].began_ms, shown.of("R20")[1].ended_ms) == (BEGIN + 31 * HOUR, BEGIN + 32 * HOUR)


# --- on-line obligation


@pytest.mark.parametrize(
    ("duty", "source", "annual", "wanted"),
    [
        ({"category": "industry"}, "surface", 500_000, True),
        ({"category": "industry"}, "surface", 499_999, False),
        ({"category": "industry", "surface_m3": D(300_000)}, "surface", 300_000, True),  # Hunan
        ({"category": "service"}, "ground", 50_000, True),
        ({"category": "domestic"}, "ground", 49_999, False),
        ({"category": "industry"}, "recycled", 900_000, False),
        ({"category": "industry"}, "surface", None, False),
        ({"category": "well"}, "ground", 900_000, False),
        ({"category": "transfer"}, "surface", None, True),
        ({"category": "irrigation_head", "area_mu": D(50_000)}, "surface", None, True),
        ({"category": "irrigation_head", "area_mu": D(49_999)}, "surface", 900_000, False),
        ({"category": "irrigation_head", "head_mu": D(0)}, "surface", None, True),  # Hunan: no floor
        ({"category": "irrigation_head"}, "surface", None, False),
    ],
)
def test_who_has_to_report_online(duty, source, annual, wanted):
    settings = replace(permitted(annual), source=SourceType(source), obligation=Obligation(**duty))
    assert (obliged(settings) is not None) == wanted


def test_a_day_without_acknowledgement_is_not_online():
    assert is_online(None, BEGIN)
    assert is_online(BEGIN - DAY + 1, BEGIN)
    assert not is_online(BEGIN - DAY, BEGIN)
