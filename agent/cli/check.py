"""`qushui check FILE`: everything that is wrong with a configuration at once. Nothing is opened."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from agent import page
from agent.client import DEFAULT_CONFIG
from agent.config import load
from agent.derive.energy import SHORT_INTERVAL_MS
from agent.derive.exact import MS_PER_HOUR
from agent.form.problems import FormErrors
from agent.intakes.settings import IntakeSettings
from agent.intakes.sources import Source, period_ms, sources_of
from agent.messages import Messages, problem_lines
from agent.planning import plans_of
from agent.settings import Config
from agent.uplinks.registry import settings_models
from agent.wiring import cost_of, wire_of
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.check"
_LATE = Decimal("1.5")  # periods until a reading is missing
_DAY_H = 24


@dataclass(frozen=True, slots=True)
class Advice:
    """Something allowed that its author should know: `code` names the sentence `cli.check.CODE`."""

    code: str
    arguments: Mapping[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT_CONFIG, help="cli.check.file")
    parser.add_argument("--schema", action="store_true", help="cli.check.schema")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0: the file is good; 2: it is not."""
    if arguments.schema:
        from agent.documents import config_schema  # noqa: PLC0415 - only editors need it

        print(json.dumps(config_schema(), ensure_ascii=False, indent=2))
        return 0
    try:
        config = load(arguments.file, drivers=DRIVERS, uplink_settings=settings_models())
    except FormErrors as errors:
        _say_bad(errors, arguments, out)
        return 2
    _say_good(config, arguments, out)
    return 0


def advice_on(config: Config) -> Iterator[Advice]:
    """Lines that cannot keep their poll periods, and profiles that want something compared with the display."""
    for plan in plans_of(config, drivers=DRIVERS, wire_of=wire_of, cost_of=cost_of):
        if plan.load > 1:
            facts = {"cycle": f"{plan.cycle_s:.2f}s", "load": f"{100 * plan.load:.0f}"}
            yield Advice("overbooked", {"line": plan.settings.name, **facts})
    for name, profile in config.profiles.items():
        if profile.unconfirmed:
            meters = [meter.name for meter in config.meters.values() if meter.profile == name]
            yield Advice("unconfirmed", {"profile": name, "meters": " ".join(meters)})
    yield from _advice_on_serial(config)
    for intake in config.intakes.values():
        yield from _advice_on_intake(intake)


def _advice_on_serial(config: Config) -> Iterator[Advice]:
    """Meters that take from their line what their maker does not ship: one that was not changed over stays silent."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for meter in config.meters.values():
        line, factory = config.lines[meter.line], config.profiles[meter.profile].line
        if line.port is not None and not meter.has_own_serial and meter.serial != factory:
            found.setdefault((line.name, str(meter.serial), meter.profile, str(factory)), []).append(meter.name)
    for (line_name, used, profile, factory_text), names in found.items():
        told = {"line": line_name, "used": used, "profile": profile, "factory": factory_text}
        yield Advice("not-as-shipped", {"meters": " ".join(names), **told})


def _advice_on_intake(intake: IntakeSettings) -> Iterator[Advice]:
    """A plan above its permit, and readings too rare to see a run, or to know how often a register passed its end."""
    permit = intake.permit
    if permit is not None and permit.annual_m3 is not None and sum(permit.plan_m3) > permit.annual_m3:
        plan, limit = f"{sum(permit.plan_m3):f}", f"{permit.annual_m3:f}"
        yield Advice("plan-over-permit", {"intake": intake.name, "plan": plan, "limit": limit})
    energy = intake.energy
    is_rare = energy is not None and period_ms(intake, energy.meter) > SHORT_INTERVAL_MS
    if energy is not None and is_rare and energy.standby_kw is None:
        yield Advice("rare-energy", {"intake": intake.name, "meter": energy.meter})
    for source in sources_of(intake, ()):
        yield from _advice_on_register(intake, source)


def _advice_on_register(intake: IntakeSettings, source: Source) -> Iterator[Advice]:
    """A register that may pass its end while a reading is late: nobody would know how often, and there is no volume."""
    site = source.water or source.energy
    if site is None:
        return
    register, unit = site.register, "m³" if source.water else "kWh"
    wrap_h = register.capacity * register.factor / register.most_per_h
    period_h = Decimal(source.period_ms) / MS_PER_HOUR
    if period_h * _LATE >= wrap_h:
        told = {"digits": str(register.digits), "most": _short(register.most_per_h), "unit": unit}
        days = {"period_days": _short(period_h / _DAY_H), "wrap_days": _short(wrap_h / _DAY_H)}
        yield Advice("wraps-first", {"intake": intake.name, "meter": source.meter, **told, **days})


def _short(amount: Decimal) -> str:
    return f"{amount:.1f}".removesuffix(".0")


def _advice_text(advice: Advice, config: Config, out: Messages) -> str:
    arguments = dict(advice.arguments)
    if advice.code == "unconfirmed":
        arguments["note"] = config.profiles[arguments["profile"]].unconfirmed[out.lang]
    return out.text(f"cli.check.{advice.code}", **arguments)


def _say_bad(errors: FormErrors, arguments: argparse.Namespace, out: Messages) -> None:
    if arguments.json:
        problems = [problem.told() for problem in errors.problems]
        print(json.dumps({"file": str(arguments.file), "good": False, "problems": problems}, ensure_ascii=False))
        return
    print("\n".join(problem_lines(out, errors.problems)))
    print(out.text("cli.check.bad", count=len(errors.problems)), file=sys.stderr)


def _say_good(config: Config, arguments: argparse.Namespace, out: Messages) -> None:
    advice = list(advice_on(config))
    meters = len(config.meters) + len(config.manual)
    counts = {
        "lines": len(config.lines),
        "meters": meters,
        "intakes": len(config.intakes),
        "uplinks": len(config.uplinks),
    }
    if arguments.json:
        told = [{"code": each.code, "arguments": dict(each.arguments)} for each in advice]
        document = {"file": str(arguments.file), "good": True, "problems": [], "station": config.station.id}
        print(json.dumps({**document, **counts, "advice": told}, ensure_ascii=False))
        return
    good = out.text("cli.check.good", file=arguments.file, station=config.station.id, **counts)
    print("\n".join(page.wrapped(good, out.width)))
    for each in advice:
        print("\n".join(page.wrapped(_advice_text(each, config, out), out.width)), file=sys.stderr)
