"""Small sites and counters to try things on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from agent.derive.coefficient import Basis, Coefficient
from agent.derive.convert import Accuracy, Pump
from agent.derive.counter import energy_register
from agent.derive.energy import PumpSet
from agent.derive.exact import midnight_ms
from agent.derive.interval import derive
from agent.derive.ledger import Ledger
from agent.derive.models import AffineLevel, Fixed, TwoPhase
from agent.derive.site import Observation, Site
from agent.derive.state import State

D = Decimal
ZONE = ZoneInfo("Asia/Shanghai")
MINUTE = 60_000
STEP = 5 * MINUTE
HOUR = 60 * MINUTE
START = midnight_ms(date(2024, 5, 1), ZONE)


def coefficient(model=None, **changes):
    settings = {
        "id": "W7", "version": 1, "well_code": "well-7", "delivery_mode": "open_outlet", "u_rel": D("0.03"),
        "model": model or Fixed(tc=D("2.2")), "valid_from": date(2024, 4, 1), "valid_to": date(2025, 4, 1),
        "basis": Basis(),
    }  # fmt: skip
    return Coefficient(**{**settings, **changes})


def register(**changes):
    settings = {"digits": 6, "step": D("0.01"), "factor": D(1), "rated_kw": D(15)}
    return energy_register("energy", **{**settings, **changes})


def site(*records, pumps=None, load=None, period_ms=STEP, **changes):
    ledger = Ledger(records or [coefficient()], zone=ZONE)
    return Site(
        register=register(**changes),
        load=load or PumpSet(rated_kw=D(15)),
        pumps=pumps or (Pump(id="pump", running_kw=D(14), ledger=ledger),),
        accuracy=Accuracy(class_pct=D(1), ct_class_pct=D(0), step_kwh=D("0.01")),
        period_ms=period_ms,
    )


def pumps(**ledgers):
    return tuple(
        Pump(id=name, running_kw=kw, ledger=Ledger([coefficient(Fixed(tc=tc), id=name)], zone=ZONE))
        for name, (kw, tc) in ledgers.items()
    )


def said(at_ms, reading=None, **more):
    value = None if reading is None else D(str(reading))
    return Observation(at_ms=at_ms, source=f"e-{at_ms}", register=value, **more)


def run(where, given, state=None):
    """All intervals of the inputs in their order, and the state after them."""
    state = state or State()
    found = []
    for one in given:
        intervals, state = derive(where, one, state)
        found += intervals
    return found, state


def every(readings, every_ms=STEP, begin_ms=START, **more):
    return [said(begin_ms + index * every_ms, reading, **more) for index, reading in enumerate(readings)]


def last(where, inputs):
    intervals, _ = run(where, inputs)
    return intervals[-1]


LEVEL = coefficient(
    AffineLevel(a=D("0.081"), b=D("0.0103"), depths=(D(28), D(40))), id="L", basis=Basis(depth_range_m=(D(28), D(40)))
)
TWO_PHASE = coefficient(TwoPhase(drop_volume_m3=D(22), drop_energy_kwh=D(8), tc_stable=D("2.2")))
