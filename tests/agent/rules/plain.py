"""A plain intake and the glances it is shown: what the tests of the rules have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from agent.derive.flags import Flag
from agent.intakes.outcome import Declared, Found, Heard
from agent.intakes.settings import (
    Certificate,
    Channel,
    EnergySource,
    IntakeSettings,
    Permit,
    Pipe,
    PumpSource,
    Range,
    RuleSettings,
    WaterSource,
)
from agent.rules.contract import Glance, Judgement, Ran, Standing, Step
from agent.rules.engine import RuleEngine

D = Decimal
ZONE = ZoneInfo("Asia/Shanghai")
MIN = 60_000
HOUR = 60 * MIN
DAY = 24 * HOUR
BEGIN = int(datetime(2026, 4, 30, 16, tzinfo=UTC).timestamp() * 1000)  # 2026-05-01 00:00 at the well
CERTIFICATE = Certificate(number="C-1", issued=date(2026, 1, 1), valid_until=date(2027, 12, 31))

METERED = IntakeSettings(
    name="well-3",
    code="4302810001",
    title="三号井",
    zone=ZONE,
    permit=Permit(number="D1", annual_m3=D(50_000), valid_until=date(2028, 12, 31)),
    range=Range(q1_m3h=D(1), q3_m3h=D(40), q4_m3h=D(50), start_m3h=D("0.1")),
    pipe=Pipe(dn_mm=D(100)),
    water=(WaterSource(meter="flow", certificate=CERTIFICATE),),
    energy=EnergySource(
        meter="kwh",
        pumps=(PumpSource(id="p1", coefficients=("W7",), running_kw=D(15), rated_m3h=D(30)),),
        rated_kw=D("18.5"),
        power=Channel(meter="kwh", quantity="power"),
        certificate=CERTIFICATE,
    ),
    periods_ms={"flow": MIN, "kwh": MIN},
)


def with_rule(settings: IntakeSettings, rule: str, **given: Any) -> IntakeSettings:
    return replace(settings, rules={rule: RuleSettings(**given)})


class Shown:
    """Shows an engine one input after another; with `restarting` it goes through its text before each of them."""

    def __init__(self, settings: IntakeSettings = METERED, *, restarting: bool = False) -> None:
        self.settings = settings
        self.engine = RuleEngine(settings)
        self.restarting = restarting
        self.number = 0
        self.found: list[Found] = []
        self.total = D(0)

    def look(self, glance: Glance) -> Judgement:
        if self.restarting:
            self.engine = RuleEngine(self.settings, self.engine.to_text())
        judgement = self.engine.look(glance)
        self.found += judgement.findings
        return judgement

    def hear(
        self,
        at_ms: int,
        meter: str = "flow",
        *,
        steps: Iterable[Step] = (),
        standings: Iterable[Standing] = (),
        ran: Iterable[Ran] = (),
        quality: Mapping[str, tuple[str, ...]] | None = None,
        is_manual: bool = False,
        **values: Any,
    ) -> Judgement:
        self.number += 1
        told = {name: value if isinstance(value, frozenset) else D(str(value)) for name, value in values.items()}
        heard = Heard(self.number, f"9f3c2a71-{self.number}", meter, at_ms, told, quality or {}, is_manual)
        return self.look(Glance(heard, None, tuple(steps), tuple(standings), tuple(ran), self.total))

    def declare(self, kind: str, subject: str, **body: Any) -> Judgement:
        row = Declared(id=1, kind=kind, subject=subject, at_ms=None, body=body, who="root")
        return self.look(Glance(None, row))

    def of(self, rule: str, quantity: str | None = None) -> list[Found]:
        return [each for each in self.found if each.rule == rule and quantity in {None, each.quantity}]

    def told(self, rule: str, quantity: str | None = None) -> list[tuple[int, bool]]:
        """The levels of a rule's findings in order, and whether each of them ended."""
        return [(each.level, each.ended_ms is not None) for each in self.of(rule, quantity)]


def water(begin_ms: int, end_ms: int, volume: object, *flags: Flag) -> Step:
    amount = None if volume is None else D(str(volume))
    return Step("flow", "volume_forward", begin_ms, end_ms, volume_m3=amount, flags=flags)


def energy(begin_ms: int, end_ms: int, kwh: object, pumping: object = 0, *flags: Flag) -> Step:
    return Step(
        "kwh", "energy_import", begin_ms, end_ms, energy_kwh=D(str(kwh)), pumping_kwh=D(str(pumping)), flags=flags
    )


def both_ways(play: Callable[[Shown], None], settings: IntakeSettings = METERED) -> Shown:
    """Plays it, and once more with a restart before every input: nothing may differ."""
    plain, restarted = Shown(settings), Shown(settings, restarting=True)
    play(plain)
    play(restarted)
    assert plain.found == restarted.found
    assert plain.engine.to_text() == restarted.engine.to_text()
    return plain
