"""A coefficient record as it is written down, and read back (§9.2): plain texts, numbers and lists, as in YAML or JSON.

id: W7
version: 4
well_code: WELL-7
delivery_mode: open_outlet
model: affine_level
params: {a: "0.081", b: "0.0103"}
basis: {runs: 5, s_ratio: "0.011", depth_range_m: ["28", "40"], p_run_kw: "14.6"}
u_rel: "0.03"
drift_per_year: "0.025"
valid_from: "2024-04-01"
valid_to: "2025-04-01"
evidence: {report_no: R-12, sha256: …}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, DecimalException
from types import MappingProxyType
from typing import Any

from agent.derive.coefficient import DRIFT_PER_YEAR, GRACE_DAYS, WARN_DAYS, Basis, Coefficient
from agent.derive.exact import ZERO, OutOfDomain
from agent.derive.models import AffineLevel, Curve, Dated, Fixed, Model, Physical, Regional, TwoPhase

Plain = Mapping[str, Any]


class _Fields:
    """The fields of a mapping; what is missing, wrong or left over is named by its path."""

    def __init__(self, path: str, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise OutOfDomain(path or "record", values, "a mapping")
        self._path = path
        self._left = dict(values)

    def name(self, key: str) -> str:
        """The path of a field."""
        return f"{self._path}.{key}" if self._path else key

    def take(self, key: str, read: Callable[[Any], Any], default: Any = ...) -> Any:
        """The field, read; `default` where it is absent or null."""
        value = self._left.pop(key, None)
        if value is None:
            if default is ...:
                raise OutOfDomain(self.name(key), "nothing", "given")
            return default
        try:
            return read(value)
        except (TypeError, ValueError, LookupError, DecimalException) as error:
            raise OutOfDomain(self.name(key), value, "what belongs there") from error

    def done(self) -> None:
        """Refuses what nobody took."""
        if self._left:
            raise OutOfDomain(self.name(min(self._left)), self._left[min(self._left)], "a field of the record")


def _number(value: Any) -> Decimal:
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        raise TypeError(value)
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(value)
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(_text(value))


def _range(value: Any) -> tuple[Decimal, Decimal]:
    low, high = map(_number, value)
    if low > high:
        raise ValueError(value)
    return low, high


def _pairs(value: Any) -> tuple[tuple[Decimal, Decimal], ...]:
    return tuple((_number(x), _number(y)) for x, y in value)


def _seasons(value: Any) -> tuple[tuple[tuple[int, int], Decimal], ...]:
    """Pairs of MM-DD and Tc; a leap year knows every day."""
    days = [(date.fromisoformat(f"2024-{_text(day)}"), _number(tc)) for day, tc in value]
    return tuple(((day.month, day.day), tc) for day, tc in days)


def _model(name: str, params: _Fields, basis: Basis) -> Model:
    if name not in _MODELS:
        raise OutOfDomain("model", name, f"one of {sorted(_MODELS)}")
    return _MODELS[name](params.take, basis)


def _two_phase(take: Callable[..., Any], _: Basis) -> Model:
    return TwoPhase(
        drop_volume_m3=take("drop_volume_m3", _number),
        drop_energy_kwh=take("drop_energy_kwh", _number),
        tc_stable=take("tc_stable", _number),
    )


def _physical(take: Callable[..., Any], basis: Basis) -> Model:
    return Physical(
        eta=take("eta", _number),
        discharge_height_m=take("discharge_height_m", _number, ZERO),
        friction_m=take("friction_m", _number, ZERO),
        static_level_m=take("static_level_m", _number, None),
        drawdown_m=take("drawdown_m", _number, ZERO),
        has_gauge=take("has_gauge", _truth, default=False),
        depths=basis.depth_range_m,
    )


def _curve(take: Callable[..., Any], _: Basis) -> Model:
    return Curve(
        table=take("table", _text), points=take("points", _pairs), interval_h=take("interval_h", _number, None)
    )


_MODELS: Mapping[str, Callable[[Callable[..., Any], Basis], Model]] = MappingProxyType(
    {
        "fixed": lambda take, _: Fixed(tc=take("tc", _number)),
        "regional": lambda take, _: Regional(tc=take("tc", _number)),
        "dated": lambda take, _: Dated(steps=take("steps", _seasons)),
        "two_phase": _two_phase,
        "affine_level": lambda take, basis: AffineLevel(
            a=take("a", _number), b=take("b", _number), depths=basis.depth_range_m
        ),
        "physical": _physical,
        "curve": _curve,
    }
)


def _basis(fields: _Fields) -> Basis:
    basis = Basis(
        runs=fields.take("runs", _whole, None),
        s_ratio=fields.take("s_ratio", _number, None),
        depth_range_m=fields.take("depth_range_m", _range, None),
        p_run_kw=fields.take("p_run_kw", _number, None),
        reference=fields.take("reference", _text, ""),
        u_reference=fields.take("u_reference", _number, ZERO),
    )
    fields.done()
    return basis


def coefficient_from(record: Plain) -> Coefficient:
    """The coefficient of a record. Numbers are texts or whole numbers, never binary floats.

    Raises: OutOfDomain, which names the field.
    """
    fields = _Fields("", record)
    basis = _basis(_Fields("basis", fields.take("basis", dict, {})))
    params = _Fields("params", fields.take("params", dict))
    model = _model(fields.take("model", _text), params, basis)
    params.done()
    evidence = {_text(key): _text(value) for key, value in fields.take("evidence", dict, {}).items()}
    coefficient = Coefficient(
        id=fields.take("id", _text),
        version=fields.take("version", _whole),
        well_code=fields.take("well_code", _text),
        delivery_mode=fields.take("delivery_mode", _text),
        model=model,
        u_rel=fields.take("u_rel", _number),
        drift_per_year=fields.take("drift_per_year", _number, DRIFT_PER_YEAR),
        valid_from=fields.take("valid_from", _day, None),
        valid_to=fields.take("valid_to", _day, None),
        calibrated_on=fields.take("calibrated_on", _day, None),
        u_model=fields.take("u_model", _number, None),
        basis=basis,
        evidence=MappingProxyType(evidence),
        warn_days=fields.take("warn_days", _whole, WARN_DAYS),
        grace_days=fields.take("grace_days", _whole, GRACE_DAYS),
    )
    fields.done()
    return coefficient


_OF_THE_BASIS = "depths"


def record_of(coefficient: Coefficient) -> dict[str, Any]:
    """The record of a coefficient, complete and in texts: the same coefficient gives the same record."""
    plain = _plain(coefficient)
    params = {key: value for key, value in _plain(coefficient.model).items() if key != _OF_THE_BASIS}
    if isinstance(coefficient.model, Dated):
        params["steps"] = [[f"{month:02}-{day:02}", str(tc)] for (month, day), tc in coefficient.model.steps]
    return {
        **plain,
        "model": coefficient.model.name,
        "params": params,
        "basis": _plain(coefficient.basis),
        "evidence": dict(coefficient.evidence),
    }


def _plain(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are given, without those that are themselves records."""
    found = {name: getattr(value, name) for name in value.__dataclass_fields__ if name in value.__slots__}
    return {name: _text_of(item) for name, item in found.items() if item is not None and item != ""}


def _text_of(item: Any) -> Any:
    if isinstance(item, Decimal | date):
        return str(item)
    return [_text_of(inner) for inner in item] if isinstance(item, tuple) else item
