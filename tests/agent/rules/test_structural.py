"""R1, R4, R14, R16: each raised by its condition, by nothing near it, and over when the condition is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.derive.exact import OutOfDomain
from agent.derive.flags import Flag
from agent.intakes.outcome import Heard
from agent.intakes.settings import Channel, StatusChange, Use
from agent.rules.contract import Glance
from agent.rules.engine import RuleEngine
from tests.agent.rules.plain import BEGIN, DAY, HOUR, METERED, MIN, D, Shown, both_ways, water, with_rule

OK = {"volume_forward": 1000, "flow_rate": 0}


def polls(shown: Shown, begin: int, count: int, meter: str = "kwh", **values: object) -> None:
    for at in range(count):
        shown.hear(begin + at * MIN, meter, **(values or {"energy_import": 500, "power": 0}))


def test_a_silent_meter_is_told_after_two_periods_and_missing_after_a_day():
    def play(shown: Shown) -> None:
        shown.hear(BEGIN, **OK)
        polls(shown, BEGIN + 1, 3)
        assert shown.told("R1") == []
        polls(shown, BEGIN + 3 * MIN, 2)
        assert shown.told("R1") == [(3, False)]
        shown.hear(BEGIN + DAY, "kwh", energy_import=500, power=0)
        assert (9, False) in shown.told("R1")
        shown.hear(BEGIN + DAY + MIN, **OK)

    shown = both_ways(play)
    began = [each for each in shown.of("R1") if each.subject == "meter/flow"]
    assert {each.began_ms for each in began} == {BEGIN + MIN}
    assert began[-1].ended_ms == BEGIN + DAY + MIN
    assert began[0].version == "R1/1"
    assert (began[0].evidence["suspect"], began[0].evidence["fail"]) == ("2", "24")


def test_a_round_without_values_is_no_record():
    shown = Shown()
    shown.hear(BEGIN, **OK)
    for at in range(1, 5):
        shown.hear(BEGIN + at * MIN, quality={"volume_forward": ("NO_REPLY",), "flow_rate": ("NO_REPLY",)})
    assert {(each.subject, each.level) for each in shown.of("R1")} == {("meter/kwh", 3), ("meter/flow", 3)}


def test_one_lost_poll_is_no_silence():
    shown = Shown(replace(METERED, energy=None))
    for at in (0, 1, 3, 4, 6):
        shown.hear(BEGIN + at * MIN + 900 * (at % 2), **OK)
    assert shown.found == []


def test_a_sealed_intake_may_be_silent():
    sealed = replace(METERED, statuses=(StatusChange(use=Use.SEALED),))
    shown = Shown(sealed)
    shown.hear(BEGIN, **OK)
    shown.hear(BEGIN + DAY * 2, "kwh", energy_import=500, power=0)
    assert shown.of("R1") == []


@pytest.mark.parametrize(
    ("flags", "level"),
    [((Flag.NEGATIVE_DELTA,), 4), ((Flag.NEGATIVE_DELTA, Flag.REVERSE_FLOW), 3), ((Flag.ROLLOVER,), None), ((), None)],
)
def test_a_register_that_fell_is_negative_unless_it_is_a_rollover(flags, level):
    def play(shown: Shown) -> None:
        volume = None if Flag.NEGATIVE_DELTA in flags else "0.5"
        shown.hear(BEGIN + MIN, steps=[water(BEGIN, BEGIN + MIN, volume, *flags)], **OK)
        for at in range(2, 20):
            shown.hear(BEGIN + at * MIN, steps=[water(BEGIN + (at - 1) * MIN, BEGIN + at * MIN, "0.5")], **OK)

    told = both_ways(play).told("R4", "volume_forward")
    assert told == ([] if level is None else [(level, False), (level, True)])


def test_a_little_reverse_flow_is_suspect_for_a_minute_and_fails_then():
    def play(shown: Shown) -> None:
        shown.hear(BEGIN, flow_rate="-0.5")
        shown.hear(BEGIN + MIN // 2, flow_rate="-0.5")
        assert shown.told("R4") == [(3, False)]
        shown.hear(BEGIN + MIN, flow_rate="-0.5")
        for at in range(2, 30):
            shown.hear(BEGIN + at * MIN, flow_rate=0)

    assert both_ways(play).told("R4") == [(3, False), (4, False), (4, True)]


def test_reverse_flow_above_two_per_cent_of_q3_fails_at_once_and_noise_below_the_starting_flow_never():
    shown = Shown()
    shown.hear(BEGIN, flow_rate="-0.05")
    shown.hear(BEGIN + MIN, flow_rate="-0.09")
    assert shown.told("R4") == []
    shown.hear(BEGIN + 2 * MIN, flow_rate="-0.8")
    assert shown.told("R4") == [(4, False)]


def test_time_that_does_not_go_forward_is_suspect():
    def play(shown: Shown) -> None:
        shown.hear(BEGIN, **OK)
        shown.hear(BEGIN + MIN, **OK)
        shown.hear(BEGIN + MIN, **OK)
        for at in range(2, 20):
            shown.hear(BEGIN + at * MIN, **OK)

    shown = both_ways(play, replace(METERED, energy=None))
    assert shown.told("R14") == [(3, False), (3, True)]
    assert shown.of("R14")[0].evidence["back_s"] == "0"


def test_two_meters_may_have_the_same_time_and_a_reading_by_hand_an_earlier_one():
    shown = Shown()
    for at in range(3):
        shown.hear(BEGIN + at * MIN, **OK)
        shown.hear(BEGIN + at * MIN, "kwh", energy_import=1, power=0)
    shown.hear(BEGIN - HOUR, is_manual=True, volume_forward=999)
    assert shown.found == []


def test_a_meter_that_doubts_its_clock_is_believed():
    shown = Shown()
    shown.hear(BEGIN, status=frozenset({"clock_fault"}), **OK)
    shown.hear(BEGIN + MIN, status=frozenset(), **OK)
    shown.hear(BEGIN + 17 * MIN, status=frozenset(), **OK)
    assert shown.told("R14", "status") == [(3, False), (3, True)]


def test_a_ratio_that_is_not_the_archives_fails_until_somebody_says_why():
    def play(shown: Shown) -> None:
        shown.hear(BEGIN, "kwh", energy_import=1, power=0, ct_ratio=20)
        assert shown.told("R16") == []
        shown.hear(BEGIN + MIN, "kwh", energy_import=1, power=0, ct_ratio=30)
        shown.hear(BEGIN + 2 * MIN, "kwh", energy_import=1, power=0, ct_ratio=30)
        assert shown.told("R16") == [(4, False)]
        shown.declare("acknowledgement", "meter/flow", rule="R16", reason="another meter")
        shown.declare("acknowledgement", "meter/kwh", rule="R4", reason="another rule")
        assert shown.told("R16") == [(4, False)]
        shown.declare("acknowledgement", "meter/kwh", rule="R16", reason="new CT")
        shown.hear(BEGIN + 3 * MIN, "kwh", energy_import=1, power=0, ct_ratio=30)
        assert shown.told("R16") == [(4, False), (4, True)]
        shown.hear(BEGIN + 4 * MIN, "kwh", energy_import=1, power=0, ct_ratio=40)

    assert METERED.energy is not None
    settings = replace(METERED, energy=replace(METERED.energy, ct_ratio=D(20)))
    assert both_ways(play, settings).told("R16") == [(4, False), (4, True), (4, False)]


@pytest.mark.parametrize("how", ["quality", "flag"])
def test_a_setting_that_changed_by_itself_fails_until_the_replacement_is_entered(how):
    def play(shown: Shown) -> None:
        if how == "quality":
            shown.hear(BEGIN, quality={"volume_forward": ("SETTING_CHANGED",)}, **OK)
        else:
            shown.hear(BEGIN, steps=[water(BEGIN - MIN, BEGIN, 1, Flag.MULTIPLIER_CHANGED)], **OK)
        shown.hear(BEGIN + MIN, **OK)
        shown.declare("replacement", "flow", quantity="volume_forward")

    shown = both_ways(play)
    assert shown.told("R16") == [(4, False), (4, True)]
    assert shown.of("R16")[0].subject == "meter/flow"


def test_a_rule_that_is_switched_off_finds_nothing():
    shown = Shown(with_rule(METERED, "R4", enabled=False))
    judgement = shown.hear(BEGIN, flow_rate=-10)
    assert shown.of("R4") == []
    assert "R4" not in judgement.levels


def test_a_head_sensor_owes_its_quantity_too():
    settings = replace(METERED, energy=None, heads=(Channel(meter="level", quantity="depth_to_water"),))
    shown = Shown(settings)
    for at in range(5):
        shown.hear(BEGIN + at * MIN, **OK)
    assert [each.subject for each in shown.of("R1")] == ["meter/level"]


def test_an_acknowledgement_for_the_intake_is_one_for_its_meters():
    shown = Shown()
    shown.hear(BEGIN, quality={"volume_forward": ("SETTING_CHANGED",)}, **OK)
    shown.declare("acknowledgement", "intake/well-3", rule="R16", reason="known")
    assert shown.told("R16") == [(4, False), (4, True)]


def test_what_other_settings_leave_nobody_to_judge_is_over_with_them():
    shown = Shown()
    shown.hear(BEGIN, flow_rate=-10)
    assert shown.told("R4") == [(4, False)]
    for settings in (with_rule(METERED, "R4", enabled=False), replace(METERED, water=())):
        again = RuleEngine(settings, shown.engine.to_text())
        heard = Heard(9, "9f3c2a71-9", "kwh", BEGIN + MIN, {"energy_import": D(1)}, {})
        (found,) = [each for each in again.look(Glance(heard, None)).findings if each.rule == "R4"]
        assert (found.began_ms, found.ended_ms) == (BEGIN, BEGIN + MIN)


def test_a_text_that_is_no_memory_of_rules_is_refused():
    for text in ("", "[]", '{"form":99}', Shown().engine.to_text().replace('"form":1', '"form":2')):
        with pytest.raises(OutOfDomain):
            RuleEngine(METERED, text)
