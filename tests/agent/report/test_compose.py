"""What a report for a slot takes from the stored rounds."""

from __future__ import annotations

from decimal import Decimal

from agent.model import Layout, StoredRound
from agent.report.compose import Composer, Limit, Wanted
from agent.report.content import STATION, Content, Kind

MINUTE = 60_000
HOUR = 60 * MINUTE
SLOT = 1_795_219_200_000  # a full hour
FLOW = Wanted(channel=1, quantity="flow_rate", meter="well-3", period_ms=MINUTE)
TOTAL = Wanted(channel=1, quantity="volume_withdrawn", meter="well-3", period_ms=MINUTE)
HOURLY = Wanted(channel=1, quantity="volume_hour", meter="well-3", period_ms=HOUR, is_exact=True)


def found(
    number: int,
    at_ms: int | None,
    values: dict[str, str | None],
    *,
    meter: str = "well-3",
    quality: dict[str, tuple[str, ...]] | None = None,
    origin: str = "measured",
) -> StoredRound:
    layout = Layout(
        meter=meter,
        profile="intake",
        version="0",
        protocol="intake",
        address="",
        quantities=tuple(values),
        flags=("empty_pipe", "battery_low"),
        period_ms=MINUTE,
        requests=(),
    )
    proof = f'{{"origin":"{origin}"}}'
    return StoredRound(number, f"9f3c2a71-{number}", layout, at_ms, tuple(values.values()), quality, proof)


def told(content: Content) -> dict[str, tuple[str | None, int]]:
    return {each.quantity: (each.text, each.at_ms) for each in content.samples}


def composer(*wanted: Wanted, derived: bool = True, **limits: Limit) -> Composer:
    return Composer(wanted, sends_derived=derived, limits={(1, name): limit for name, limit in limits.items()})


def test_a_slot_takes_the_round_of_its_own_time():
    ours = composer(FLOW)
    for number, offset in enumerate((-50_000, 10_000, 70_000), 1):
        ours.hear(found(number, SLOT + offset, {"flow_rate": str(number)}))
    assert told(ours.report(Kind.TIMED, SLOT, ())) == {"flow_rate": ("2", SLOT + 10_000)}


def test_without_one_it_takes_the_nearest_good_one_within_a_period_with_its_own_time():
    ours = composer(FLOW)
    ours.hear(found(1, SLOT - 50_000, {"flow_rate": "1"}))
    ours.hear(found(2, SLOT - 20_000, {"flow_rate": "9"}, quality={"flow_rate": ("OUT_OF_RANGE",)}))
    ours.hear(found(3, SLOT + 5_000, {"flow_rate": None}, quality={"flow_rate": ("NO_REPLY",)}))
    assert told(ours.report(Kind.TIMED, SLOT, ())) == {"flow_rate": ("1", SLOT - 50_000)}


def test_farther_away_there_is_no_value_and_never_a_zero():
    ours = composer(FLOW)
    ours.hear(found(1, SLOT - 61_000, {"flow_rate": "1"}))
    (sample,) = ours.report(Kind.TIMED, SLOT, ()).samples
    assert (sample.text, sample.quality) == (None, ("MISSING",))


def test_an_hourly_volume_counts_for_its_own_hour_only():
    ours = composer(TOTAL, HOURLY)
    ours.hear(found(1, SLOT, {"volume_withdrawn": "100", "volume_hour": "22.5"}))
    assert told(ours.report(Kind.TIMED, SLOT, ()))["volume_hour"] == ("22.5", SLOT)
    assert told(ours.report(Kind.TIMED, SLOT + HOUR, ()))["volume_hour"][0] is None


def test_derived_water_goes_only_where_the_uplink_says_so():
    said, unsaid = composer(TOTAL, derived=True), composer(TOTAL, derived=False)
    for each in (said, unsaid):
        each.hear(found(1, SLOT, {"volume_withdrawn": "100"}, origin="derived"))
    assert said.report(Kind.TIMED, SLOT, ()).samples[0].text == "100"
    (kept,) = unsaid.report(Kind.TIMED, SLOT, ()).samples
    assert (kept.text, kept.quality, kept.source) == (None, ("DERIVED",), "9f3c2a71-1")


def test_a_slot_is_past_when_every_meter_has_its_reading_or_has_gone_beyond_it():
    level = Wanted(channel=STATION, quantity="level", meter="well-level", period_ms=5 * MINUTE)
    ours = composer(FLOW, level)
    ours.hear(found(1, SLOT + 10_000, {"flow_rate": "1"}))
    assert not ours.is_past(SLOT)
    ours.hear(found(2, SLOT + 4 * MINUTE, {"level": None}, meter="well-level", quality={"level": ("NO_REPLY",)}))
    assert not ours.is_past(SLOT)
    ours.hear(found(3, SLOT + 6 * MINUTE, {"level": None}, meter="well-level", quality={"level": ("NO_REPLY",)}))
    assert ours.is_past(SLOT)


def test_an_hours_volume_is_waited_for_until_the_hour_is_closed_with_it_or_without():
    ours = composer(HOURLY)
    ours.hear(found(1, SLOT + MINUTE, {"flow_rate": "1"}))
    assert not ours.is_past(SLOT)
    ours.hear(found(2, SLOT, {"volume_hour": None}, quality={"volume_hour": ("GAP",)}))
    assert ours.is_past(SLOT)


def test_crossing_a_limit_is_reported_once_and_so_is_coming_back():
    ours = composer(FLOW, flow_rate=Limit(high=Decimal(100)))
    heard = [
        ours.hear(found(number, SLOT + number * MINUTE, {"flow_rate": text}))
        for number, text in enumerate(("90", "110", "120", "95", "99"), 1)
    ]
    assert [[trigger.reason for trigger in each] for each in heard] == [[], ["flow_rate>100"], [], ["flow_rate="], []]
    ours.hear(found(9, SLOT + 9 * MINUTE, {"flow_rate": "101"}))
    assert ours.report(Kind.ADDITIONAL, SLOT, ()).alarms == ("flow_alarm",)


def test_a_change_is_measured_from_what_was_reported_last():
    ours = composer(FLOW, flow_rate=Limit(change=Decimal(10)))
    texts = ("50", "55", "59", "61", "65", "70", "72")
    reasons = [ours.hear(found(n, SLOT + n * MINUTE, {"flow_rate": text})) for n, text in enumerate(texts, 1)]
    assert [len(each) for each in reasons] == [0, 0, 0, 1, 0, 0, 1]


def test_a_flag_that_comes_or_goes_is_reported_at_once():
    ours = composer(FLOW)
    masks = ("0", "1", "3", "3", "2")
    heard = [ours.hear(found(n, SLOT + n * MINUTE, {"status": mask})) for n, mask in enumerate(masks, 1)]
    assert [[each.reason for each in triggers] for triggers in heard] == [
        [],
        ["+empty_pipe"],
        ["+battery_low"],
        [],
        ["-empty_pipe"],
    ]
    assert ours.report(Kind.ADDITIONAL, SLOT, ("METER-NO-REPLY",)).alarms == ("METER-NO-REPLY", "battery_low")


def test_the_same_rounds_give_the_same_report_whenever_it_is_composed():
    def heard(upto: int) -> Content:
        ours = composer(FLOW, TOTAL)
        for number in range(1, upto):
            at_ms = SLOT - 5 * MINUTE + number * MINUTE
            ours.hear(found(number, at_ms, {"flow_rate": str(number), "volume_withdrawn": str(number)}))
        return ours.report(Kind.TIMED, SLOT, ())

    assert heard(8) == heard(200)


def test_a_report_survives_its_text():
    ours = composer(FLOW, TOTAL)
    ours.hear(found(1, SLOT, {"flow_rate": "1.50"}, quality={"flow_rate": ("UNCONFIRMED",)}))
    content = ours.report(Kind.ADDITIONAL, SLOT, ("x",), trigger="flow_rate>1")
    assert Content.from_text(content.to_text()) == content


def test_a_uniform_report_has_a_sample_for_each_step_and_gaps_stay_gaps():
    ours = composer(FLOW)
    for number in range(1, 13):
        if number != 5:
            ours.hear(found(number, SLOT - HOUR + number * 5 * MINUTE, {"flow_rate": str(number)}))
    content = ours.uniform(FLOW, SLOT, HOUR, 5 * MINUTE)
    assert [each.text for each in content.samples] == [str(n) if n != 5 else None for n in range(1, 13)]
    assert content.samples[0].at_ms == SLOT - HOUR + 5 * MINUTE
