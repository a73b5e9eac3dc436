"""Small intakes, rounds and declarations to try accounts on, and a store in memory that goes back where it must."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from agent.derive.exact import midnight_ms
from agent.intakes.account import Account, Late
from agent.intakes.outcome import Closed, Declared, Derived, Heard
from agent.intakes.settings import EnergySource, IntakeSettings, PumpSource, Range, WaterSource

D = Decimal
ZONE = ZoneInfo("Asia/Shanghai")
MINUTE = 60_000
STEP = 5 * MINUTE
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = midnight_ms(date(2024, 5, 1), ZONE)
SOFTWARE = "0.1.0"


def converted(**changes):
    """A well whose water follows from the electricity of its one pump."""
    energy = {
        "meter": "pump-kwh", "pumps": (PumpSource(id="pump", coefficients=("W7",), running_kw=D(14)),),
        "rated_kw": D(15), "register_is_primary": True,
    }  # fmt: skip
    more = {key: changes.pop(key) for key in list(changes) if key in IntakeSettings.__dataclass_fields__}
    return intake(energy=EnergySource(**{**energy, **changes}), **more)


def metered(*meters, **changes):
    """An intake with flow meters."""
    names = meters or ("main-flow",)
    sources = tuple(WaterSource(meter=name, step_m3=D("0.01"), digits=6) for name in names)
    return intake(water=sources, range=Range(q4_m3h=D(60)), **changes)


def intake(**changes):
    settings = {
        "name": "well-3", "code": "4302810001", "title": "三号井", "zone": ZONE,
        "periods_ms": dict.fromkeys(("pump-kwh", "main-flow", "side-flow", "depth", "a-kw", "b-kw"), STEP),
    }  # fmt: skip
    return IntakeSettings(**{**settings, **changes})


def heard(number, meter, at_ms, quality=None, is_manual=False, **values):
    return Heard(
        number, f"e-{number}", meter, at_ms,
        {name: D(str(value)) for name, value in values.items()}, quality or {}, is_manual,
    )  # fmt: skip


def readings(meter, quantity, values, *, every_ms=STEP, begin_ms=START, first=1):
    return [
        heard(first + index, meter, begin_ms + index * every_ms, **{quantity: value})
        for index, value in enumerate(values)
        if value is not None
    ]


def energies(*values, **more):
    return readings("pump-kwh", "energy_import", values, **more)


def volumes(*values, **more):
    return readings("main-flow", "volume_forward", values, **more)


def coefficient(number=1, **changes):
    """W7@1 from 2024-04-01, as the ledger has it."""
    record = {
        "id": "W7", "version": 1, "well_code": "well-7", "delivery_mode": "open_outlet", "model": "fixed",
        "params": {"tc": "2.2"}, "u_rel": "0.03", "valid_from": "2024-04-01", "valid_to": "2025-04-01",
    }  # fmt: skip
    body = {**record, **changes}
    at_ms = midnight_ms(date.fromisoformat(body["valid_from"]), ZONE)
    return Declared(id=number, kind="coefficient", subject=body["id"], at_ms=at_ms, body=body, who="test")


def replacement(number, meter, at_ms, old_final, new_initial, **more):
    body = {"old_final": old_final, "new_initial": new_initial, "multiplier": None, "reset": False, **more}
    return Declared(id=number, kind="replacement", subject=meter, at_ms=at_ms, body=body, who="test")


def decision(number, meter, at_ms, register, wraps):
    body = {"register": register, "wraps": wraps}
    return Declared(id=number, kind="decision", subject=meter, at_ms=at_ms, body=body, who="test")


def withdrawal(number, wrong):
    """Says of another declaration that it was wrong."""
    body = {"id": wrong.id, "kind": wrong.kind, "reason": "another meter"}
    return Declared(id=number, kind="withdrawal", subject=wrong.subject, at_ms=wrong.at_ms, body=body, who="test")


class Store:
    """Feeds an account as the product's store does, goes back where a declaration comes late, keeps what it gave."""

    def __init__(self, settings, rules=None):
        self.settings, self.rules = settings, rules
        self.ledger, self.rounds = [], []
        self.derived, self.closings, self.found = {}, {}, []
        self.account = Account.begin(settings, software=SOFTWARE, rules=rules)

    def declare(self, declared):
        self.ledger.append(declared)
        try:
            self.account.declare(declared)
        except Late:
            self.go_back()

    def go_back(self):
        states = [each.state for _, each in sorted(self.closings.items(), reverse=True) if each.state]
        for state in [*states, None]:
            try:
                self.account = self._load(state)
                break
            except Late:
                continue
        number = self.account.number
        self.derived = {key: value for key, value in self.derived.items() if key[0] <= number}
        heard_before = [each for each in self.closings.values() if each.number < number]
        self.closings = {each.at_ms: each for each in heard_before}
        for each in self.rounds:
            if each.number > number:
                self._hear(each)

    def _load(self, state):
        account = (
            Account.begin(self.settings, software=SOFTWARE, rules=self.rules)
            if state is None
            else Account.load(self.settings, state, software=SOFTWARE, rules=self.rules)
        )
        for declared in self.ledger:
            account.declare(declared)
        return account

    def restart(self):
        self.account = self._load(self.account.state_text())

    def hear(self, *rounds):
        for each in rounds:
            self.rounds.append(each)
            self._hear(each)
        return self

    def _hear(self, each):
        for index, outcome in enumerate(self.account.hear(each)):
            if isinstance(outcome, Derived):
                self.derived[each.number, index] = outcome
            elif isinstance(outcome, Closed):
                self.closings[outcome.at_ms] = outcome
            else:
                self.found.append(outcome)

    # What a test looks at

    @property
    def now(self):
        return [each for each in self.derived.values() if "volume_hour" not in each.quantities]

    @property
    def hourly(self):
        return [each for each in self.derived.values() if "volume_hour" in each.quantities]

    def totals(self):
        return [value_of(each, "volume_withdrawn") for each in self.now]

    def body(self, at_ms):
        return json.loads(self.closings[at_ms].body)


def value_of(derived, quantity):
    return dict(zip(derived.quantities, derived.values, strict=True)).get(quantity)


def proof_of(derived):
    return json.loads(derived.proof)


def stored(settings_, *declared):
    found = Store(settings_)
    for each in declared:
        found.declare(each)
    return found
