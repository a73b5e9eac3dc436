"""The `intakes:` of a configuration: what only shows in company is checked, and what stands becomes settings.

The checks look at the file itself, section by section, so that a mistake in one hides none in another. What is inside
one section is judged by the models of `intakes.form`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple, TypeVar, get_args

from pydantic import BaseModel

from agent.archive.shelf import Shelf
from agent.form.judge import accepted, judged
from agent.form.nodes import Document, Node, Steps, is_name, shown
from agent.form.problems import near
from agent.intakes.form import (
    CertificateForm,
    ConvertedForm,
    IntakeForm,
    PermitForm,
    RangeForm,
    RuleForm,
    StatusForm,
    Total,
)
from agent.intakes.making import settings_of
from agent.intakes.settings import IntakeSettings, RuleSettings
from agent.quantities import QUANTITIES
from agent.rules.table import RULES_BY_ID, limits_of
from agent.settings import ManualMeter, MeterSettings

_PLANS = (0, 4, 12)  # none, quarters, months
_SENSORS = {
    "depth": ("depth_to_water", "level"),
    "pressure": ("pressure",),
    "frequency": ("frequency",),
    "power": ("power",),
    "running": ("power", "flow_rate", "current_a"),
    "heads": ("level", "depth_to_water"),
}
_WAYS = ("water", "check")
Form = TypeVar("Form", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMeters:
    """The meters of the file: all their names, and of those that stand what they tell and how often, ms; `by_hand` are
    those that people read.
    """

    names: Sequence[str]
    quantities: Mapping[str, Sequence[str]]
    periods_ms: Mapping[str, int]
    by_hand: Collection[str]


def known_meters(
    names: Sequence[str], polled: Mapping[str, MeterSettings], manual: Mapping[str, ManualMeter]
) -> KnownMeters:
    """The meters that stand, among all `names` of the file."""
    return KnownMeters(
        names=names,
        quantities={
            **{name: each.quantities for name, each in polled.items()},
            **{name: each.quantities for name, each in manual.items()},
        },
        periods_ms={
            **{name: each.poll_ms for name, each in polled.items()},
            **{name: each.period_ms for name, each in manual.items()},
        },
        by_hand=manual.keys(),
    )


class _Reference(NamedTuple):
    """A place that names a meter's quantity; `allowed` are the quantities that have a meaning there."""

    path: Steps
    meter: str
    quantity: str
    allowed: Sequence[str]
    at_quantity: Steps


@dataclass(slots=True)
class _Taken:
    """What only one intake can have: codes, archives, and the totals that count."""

    codes: dict[str, str] = field(default_factory=dict)
    archives: dict[str, str] = field(default_factory=dict)
    totals: dict[tuple[str, str], str] = field(default_factory=dict)


def intakes_of(document: Document, meters: KnownMeters, shelf: Shelf, zone: tzinfo) -> dict[str, IntakeSettings]:
    """The intakes that stand, after noting what is wrong with them in company; archives are put on the `shelf`."""
    section = document.root.entries().get("intakes")
    found: dict[str, IntakeSettings] = {}
    taken = _Taken()
    for name, node in ({} if section is None else section.entries()).items():
        path: Steps = ("intakes", name)
        if name in meters.names:
            document.complain_key(path, "intake-is-meter", value=name)
        _check_code(document, path, node, taken)
        for reference in _references(path, node):
            _check_reference(document, reference, meters)
        _check_totals(document, path, node, taken)
        _check_aquifer(document, path, node)
        _check_permit(document, path)
        _check_range(document, path)
        _check_rules(document, path, node)
        _check_status(document, path)
        _check_ways(document, path, node)
        for way in _WAYS:
            _check_certificates(document, (*path, way))
            _check_electricity(document, (*path, way), meters.by_hand)
        form = _archived(document, path, node, shelf, taken)
        if form is not None:
            found[name] = settings_of(name, form, zone=zone, periods_ms=meters.periods_ms)
    return found


def _archived(document: Document, path: Steps, node: Node, shelf: Shelf, taken: _Taken) -> IntakeForm | None:
    """The intake's section where it stands, with what its archive adds, after noting what is wrong in it."""
    form = judged(document, path, IntakeForm)
    file = _text(node.entries().get("archive"))
    if not file:
        return form
    other = taken.archives.setdefault(file, str(path[-1]))
    if other != path[-1]:
        document.complain((*path, "archive"), "archive-taken", other=other)
        return None
    return shelf.take(str(path[-1]), file, form)


def _part(document: Document, path: Steps, form: type[Form]) -> Form | None:
    """The section at `path` where there is one that stands by itself."""
    _, depth = document.root.at(path)
    return accepted(document, path, form) if depth == len(path) else None


def _text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""


def _check_code(document: Document, path: Steps, node: Node, taken: _Taken) -> None:
    code = _text(node.entries().get("code"))
    other = taken.codes.setdefault(code, str(path[-1])) if code else path[-1]
    if other != path[-1]:
        document.complain((*path, "code"), "code-taken", value=shown(code), other=str(other))


def _references(path: Steps, node: Node) -> Iterator[_Reference]:
    """Every meter that an intake names."""
    for way in _WAYS:
        section = node.entries().get(way)
        if section is not None:
            yield from _totals((*path, way), section)
            yield from _channels((*path, way), section, ("depth", "pressure", "frequency", "power", "running"))
            pumps = section.entries().get("pumps")
            for name, pump in ({} if pumps is None else pumps.entries()).items():
                yield from _channels((*path, way, "pumps", name), pump, ("running",))
    for index, head in enumerate(node.items("heads")):
        yield from _channel((*path, "heads", index), head, _SENSORS["heads"])


def _totals(path: Steps, section: Node) -> Iterator[_Reference]:
    """The meters whose totals an intake's water is made from."""
    keys = section.entries()
    if "electricity" in keys:
        named = _text(keys["electricity"])
        yield _Reference((*path, "electricity"), named, "energy_import", (), (*path, "electricity"))
        return
    places: list[tuple[Steps, Node]] = [
        ((*path, "meters", at), each) for at, each in enumerate(section.items("meters"))
    ]
    for place, each in places or [(path, section)]:
        if not isinstance(each.value, dict):
            yield _Reference(place, _text(each), "volume_forward", (), place)
        elif "meter" in each.entries():
            told = _text(each.entries().get("quantity"))
            told = told if told in get_args(Total) else "volume_forward"  # else its own model complains
            at_quantity = (*place, "quantity" if "quantity" in each.entries() else "meter")
            yield _Reference((*place, "meter"), _text(each.entries()["meter"]), told, (), at_quantity)


def _channels(path: Steps, section: Node, keys: Sequence[str]) -> Iterator[_Reference]:
    for key in keys:
        if key in section.entries():
            yield from _channel((*path, key), section.entries()[key], _SENSORS[key])


def _channel(path: Steps, node: Node, allowed: Sequence[str]) -> Iterator[_Reference]:
    meter, slash, quantity = _text(node).partition("/")
    if slash:  # else its own model complains
        yield _Reference(path, meter, quantity, allowed, path)


def _check_reference(document: Document, named: _Reference, meters: KnownMeters) -> None:
    if not is_name(named.meter) or named.quantity not in QUANTITIES:
        return  # its own model complains
    if named.meter not in meters.names:
        known = " ".join(sorted(meters.names)) or "-"
        document.complain(
            named.path, "meter", value=named.meter, allowed=known, **near(named.meter, list(meters.names))
        )
    elif named.allowed and named.quantity not in named.allowed:
        arguments = {"value": named.quantity, "allowed": " ".join(named.allowed)}
        document.complain(named.at_quantity, "channel-quantity", **arguments)
    elif named.quantity not in meters.quantities.get(named.meter, (named.quantity,)):
        known = " ".join(meters.quantities[named.meter])
        document.complain(named.at_quantity, "meter-without", value=named.quantity, meter=named.meter, allowed=known)


def _check_totals(document: Document, path: Steps, node: Node, taken: _Taken) -> None:
    """A total counts in one intake, and there once; what checks is another meter than what counts."""
    counting: set[str] = set()
    for way in _WAYS:
        section = node.entries().get(way)
        for each in () if section is None else _totals((*path, way), section):
            if way == "water":
                other = taken.totals.setdefault((each.meter, each.quantity), str(path[-1]))
                if other != path[-1] or each.meter in counting:
                    document.complain(each.path, "total-taken", value=each.meter, other=other)
                counting.add(each.meter)
            elif each.meter in counting:
                document.complain(each.path, "check-same", value=each.meter)


def _check_aquifer(document: Document, path: Steps, node: Node) -> None:
    source = _text(node.entries().get("source"))
    if source in {"surface", "recycled"} and "aquifer" in node.entries():
        document.complain_key((*path, "aquifer"), "aquifer-alone", value=source)


def _check_permit(document: Document, path: Steps) -> None:
    place = (*path, "permit")
    permit = _part(document, place, PermitForm)
    if permit is None:
        return
    if len(permit.plan_m3) not in _PLANS:
        document.complain((*place, "plan_m3"), "plan-parts", value=str(len(permit.plan_m3)))
    if permit.valid_from is not None and permit.valid_until is not None and permit.valid_until < permit.valid_from:
        first, last = permit.valid_from.isoformat(), permit.valid_until.isoformat()
        document.complain((*place, "valid_until"), "ends-before", value=last, limit=first)


def _check_certificates(document: Document, path: Steps) -> None:
    """No certificate ends before it was issued."""
    node, _ = document.root.at(path)
    places = [path, *((*path, "meters", index) for index in range(len(node.items("meters"))))]
    for place in places:
        certificate = _part(document, (*place, "certificate"), CertificateForm)
        if certificate is None or certificate.issued is None or certificate.valid_until is None:
            continue
        if certificate.valid_until < certificate.issued:
            first, last = certificate.issued.isoformat(), certificate.valid_until.isoformat()
            document.complain((*place, "certificate", "valid_until"), "ends-before", value=last, limit=first)


def _check_range(document: Document, path: Steps) -> None:
    """Starting flow, Q1, Q3 and Q4 grow in this order; Q4 by its rule where it is not written."""
    place = (*path, "range")
    flows = _part(document, place, RangeForm)
    if flows is None:
        return
    written = [
        (key, value)
        for key in ("start_m3h", "q1_m3h", "q3_m3h", "q4_m3h")
        if (value := getattr(flows, key)) is not None
    ]
    for (lower, low), (key, value) in pairwise(written):
        if value < low:
            document.complain((*place, key), "below", value=str(value), limit=str(low), key=lower)


def _check_rules(document: Document, path: Steps, node: Node) -> None:
    """Who fails is suspect, too: the two thresholds of a rule lie in the order of its own."""
    rules = node.entries().get("rules")
    for name in {} if rules is None else rules.entries():
        place = (*path, "rules", name)
        form = _part(document, place, RuleForm) if name in RULES_BY_ID else None
        if form is None:
            continue
        limits = limits_of(RULES_BY_ID[name], RuleSettings(suspect=form.suspect, fail=form.fail))
        if not limits.is_graded:
            key = "suspect" if form.fail is None else "fail"
            document.complain((*place, key), "milder", suspect=str(limits.suspect), fail=str(limits.fail), rule=name)


def _check_status(document: Document, path: Steps) -> None:
    """Changes come in the order of their days; only the first may have none."""
    node, depth = document.root.at((*path, "status"))
    if depth <= len(path) or not isinstance(node.value, list):
        return
    before = None
    for index in range(len(node.value)):
        place = (*path, "status", index)
        change = _part(document, place, StatusForm)
        if change is None:
            return
        if change.since is None and index > 0:
            document.complain(place, "missing", key="since")
        elif change.since is not None and before is not None and change.since <= before:
            document.complain((*place, "since"), "not-after", value=str(change.since), limit=str(before))
        before = change.since or before


def _check_ways(document: Document, path: Steps, node: Node) -> None:
    ways = [node.entries().get(way) for way in _WAYS]
    if all(way is not None and "electricity" in way.entries() for way in ways):
        document.complain((*path, "check", "electricity"), "check-electricity")


def _check_electricity(document: Document, path: Steps, by_hand: Collection[str]) -> None:
    """Every kilowatt has a pump, every pump a coefficient, and no load but the pump looks like pumping.

    The mean power of a month is below what a running pump draws: of a meter that people read only a known standby power
    tells that water was lifted at all.
    """
    node, depth = document.root.at(path)
    if depth < len(path) or "electricity" not in node.entries():
        return
    keys = node.entries()
    if "pumps" in keys:
        for key in ("coefficient", "running_kw", "running", "rated_m3h"):
            if key in keys:
                document.complain_key((*path, key), "pumps-and", key=key)
        pumps = keys["pumps"].entries()
        for name, pump in pumps.items():
            if len(pumps) > 1 and isinstance(pump.value, dict) and "running" not in pump.entries():
                document.complain((*path, "pumps", name), "pump-running")
    elif "coefficient" not in keys:
        document.complain(path, "coefficient-or-pumps")
    if _text(keys["electricity"]) in by_hand and "standby_kw" not in keys:
        document.complain((*path, "electricity"), "standby-by-hand", value=_text(keys["electricity"]))
    _check_datum(document, path, keys)
    form = _part(document, path, ConvertedForm)
    if form is not None:
        _check_powers(document, path, form)


def _check_datum(document: Document, path: Steps, keys: Mapping[str, Node]) -> None:
    """A level becomes a depth only with what it is taken from."""
    is_level = _text(keys.get("depth")).endswith("/level")
    if is_level and "datum_m" not in keys:
        document.complain((*path, "depth"), "datum-missing")
    elif not is_level and "datum_m" in keys:
        document.complain_key((*path, "datum_m"), "datum-alone")


def _check_powers(document: Document, path: Steps, form: ConvertedForm) -> None:
    threshold = form.pump_on_fraction * form.rated_kw
    for key, value in (("standby_kw", form.standby_kw), ("aux_kw", form.aux_kw)):
        limit = threshold if key == "standby_kw" else form.rated_kw
        if value is not None and value >= limit:
            document.complain((*path, key), "load-high", value=str(value), limit=f"{limit.normalize():f}")
    most = form.rated_kw * Decimal(2)
    for pump_path, running_kw in _running(path, form):
        if not 0 < running_kw <= most:
            document.complain(
                pump_path, "out-of-range", value=str(running_kw), low="0.01", high=f"{most.normalize():f}"
            )


def _running(path: Steps, form: ConvertedForm) -> Iterator[tuple[Steps, Decimal]]:
    if form.running_kw is not None:
        yield (*path, "running_kw"), form.running_kw
    for name, pump in (form.pumps or {}).items():
        yield (*path, "pumps", name, "running_kw"), pump.running_kw
