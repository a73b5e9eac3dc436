"""A fit in words and figures: for a terminal, for a program, and the plot that goes with it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agent import page
from agent.calibration.drafting import rounded
from agent.calibration.plot import Plot, Point, Trace
from agent.calibration.remarks import Remark
from agent.calibration.result import Fit, Group, Site
from agent.calibration.runs import Run, Table
from agent.derive.coefficient import Coefficient
from agent.derive.exact import ONE, PERCENT, ZERO, exact
from agent.derive.models import AffineLevel, Curve, Dated, Model, TwoPhase
from agent.derive.records import record_of
from agent.messages import Messages

_PERCENTS = frozenset({"SCATTER_TOO_WIDE", "RANGE_TOO_WIDE", "POWER_DIFFERS", "MORE_WELLS", "WELLS_ALIKE", "TRY_LEVEL"})
_EXPANDED = frozenset({"REFERENCE_TOO_UNCERTAIN"})  # stated as k = 2 by those who write certificates
_NAMED_AT_MOST = 12


def percent(fraction: Decimal, digits: int = 2) -> str:
    """A fraction in per cent, as people read it."""
    return f"{rounded(fraction * PERCENT, digits + 1):f} %" if fraction else "0 %"


def remark_text(remark: Remark, table: Sequence[Run], messages: Messages) -> str:
    """A remark as a sentence with its figures and its runs, of those in `table`."""
    words = {"found": remark.found, "limit": remark.limit}
    if remark.code in _PERCENTS | _EXPANDED:
        factor = 2 if remark.code in _EXPANDED else 1
        words = {key: _as_percent(text, factor) for key, text in words.items()}
    else:
        words = {key: _short(text) for key, text in words.items()}
    runs = [table[at].label for at in remark.runs]
    named = " ".join(runs[:_NAMED_AT_MOST]) + (" …" if len(runs) > _NAMED_AT_MOST else "")
    text = messages.text(f"calibration.remark.{remark.code}", **words, runs=named)
    return f"{remark.group}: {text}" if remark.group else text


def _as_percent(text: str, factor: int) -> str:
    number = _number(text)
    if number is None:
        return text
    return text if number > ONE and number == number.to_integral_value() else percent(number * factor)


def _short(text: str) -> str:
    number = _number(text)
    return text if number is None else f"{rounded(number, 4).normalize():f}"


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


def model_text(model: Model, messages: Messages) -> str:
    """The model with its figures, in one line."""
    plain = record_of_model(model)
    words = {key: _figures(value) for key, value in plain.items()}
    return messages.text(f"calibration.model.{model.name}", **words)


def record_of_model(model: Model) -> dict[str, Any]:
    """The figures of a model, by name."""
    return {name: getattr(model, name) for name in model.__dataclass_fields__}  # type: ignore[attr-defined] # all are


def _figures(value: object) -> str:
    match value:
        case Decimal():
            return f"{rounded(value, 5):f}"
        case tuple():
            return ", ".join(_pair(item) if isinstance(item, tuple) else _figures(item) for item in value)
        case _:
            return str(value)


def _pair(item: tuple[Any, ...]) -> str:
    left, right = item
    begin = f"{left[0]:02}-{left[1]:02}" if isinstance(left, tuple) else _figures(left)
    return f"{begin} → {_figures(right)}"


# --- for a terminal


def lines_of(fit: Fit, table: Table, messages: Messages) -> list[str]:
    """The whole report for a terminal."""
    word = messages.text
    lines = [word("calibration.head", file=table.file, count=len(fit.runs), kept=len(fit.kept))]
    for group in fit.groups:
        lines += [f"  {line}" for line in group_lines(group, fit, messages)]
    if fit.model is not None:
        lines += ["", *page.wrapped(model_text(fit.model, messages), messages.width)]
        lines += page.wrapped(uncertainty_text(fit, messages), messages.width)
    lines += ["", word("calibration.accepted" if fit.is_accepted else "calibration.refused")]
    for remark in sorted(fit.remarks, key=lambda each: not each.refuses):
        mark = "✗" if remark.refuses else "·"
        lines += page.labelled(mark, remark_text(remark, fit.runs, messages), indent=2, column=4, width=messages.width)
    if table.unread:
        lines += page.wrapped(word("calibration.unread", headers=" ".join(table.unread)), messages.width)
    return lines


def uncertainty_text(fit: Fit, messages: Messages) -> str:
    """The uncertainty in the record, with what it rests on."""
    text = messages.text("calibration.uncertainty", u=percent(fit.u_rel), expanded=percent(2 * fit.u_rel))
    if fit.eta is not None:
        text += " " + messages.text("calibration.eta", eta=f"{fit.eta:.3f}")
    if fit.weighted is not None:
        birge = f"{fit.weighted.birge:.2f}"
        text += " " + messages.text("calibration.weighted", birge=birge)
    return text


def group_lines(group: Group, fit: Fit, messages: Messages) -> Iterator[str]:
    """The statistics of one calibration, and its outliers by name."""
    result = group.result
    words = {
        "n": len(result.kept),
        "ratio": f"{rounded(result.tc, 5):f}",
        "s": f"{rounded(result.s_ratio, 3):f}",
        "cv": percent(result.cv),
        "spread": percent(result.spread),
        "ci": f"{rounded(result.ci95, 3):f}",
        "low": f"{rounded(result.mean_ratio - result.ci95, 5):f}",
        "high": f"{rounded(result.mean_ratio + result.ci95, 5):f}",
    }
    if group.label:
        yield messages.text("calibration.group", label=group.label)
    for key in ("statistics", "interval"):
        yield from page.wrapped(messages.text(f"calibration.{key}", **words), messages.width - 2)
    for at in group.rejected:
        run = fit.runs[at]
        words = {"run": run.label, "line": run.line, "ratio": f"{rounded(ratio_of(group, at, run), 5):f}"}
        yield from page.wrapped(messages.text("calibration.rejected", **words), messages.width - 2)


@exact
def ratio_of(group: Group, position: int, run: Run) -> Decimal:
    """What the calibration compares: the run's volume over its abscissa."""
    return run.volume_m3 / group.x[group.positions.index(position)]


# --- for a program


def told(fit: Fit, table: Table, site: Site, record: Coefficient | None, messages: Messages) -> dict[str, Any]:
    """The whole report as plain data; numbers are texts."""
    return {
        "file": table.file,
        "model": fit.name,
        "accepted": fit.is_accepted,
        "params": None if fit.model is None else _plain(record_of_model(fit.model)),
        "u_rel": str(rounded(fit.u_rel)),
        "u_reference": str(site.reference.u_rel),
        "step_kwh": str(site.step_kwh),
        "runs": [_told_run(run, at, fit) for at, run in enumerate(fit.runs)],
        "groups": [_told_group(group) for group in fit.groups],
        "eta": None if fit.eta is None else str(rounded(fit.eta)),
        "birge": None if fit.weighted is None else str(rounded(fit.weighted.birge)),
        "remarks": [
            {"code": each.code, "refuses": each.refuses, "found": each.found, "limit": each.limit,
             "runs": [fit.runs[at].label for at in each.runs], "group": each.group,
             "text": remark_text(each, fit.runs, messages)}
            for each in fit.remarks
        ],
        "unread": list(table.unread),
        "record": None if record is None else record_of(record),
    }  # fmt: skip


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain_item(value) for key, value in values.items() if value is not None}


def _plain_item(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{rounded(value):f}"
    return [_plain_item(each) for each in value] if isinstance(value, tuple) else value


def _told_run(run: Run, at: int, fit: Fit) -> dict[str, Any]:
    group = next((each for each in fit.groups if at in each.positions), None)
    return {
        "run": run.label,
        "line": run.line,
        "energy_kwh": str(run.energy_kwh),
        "volume_m3": str(run.volume_m3),
        "ratio": None if group is None else str(rounded(ratio_of(group, at, run))),
        "kept": at in fit.kept,
    }


def _told_group(group: Group) -> dict[str, Any]:
    result = group.result
    figures = {"ratio": result.tc, "mean_ratio": result.mean_ratio, "s_ratio": result.s_ratio, "cv": result.cv,
               "spread": result.spread, "ci95": result.ci95, "u_rel": result.u_rel}  # fmt: skip
    return {"label": group.label, "n": len(result.kept), **{key: str(rounded(each)) for key, each in figures.items()}}


# --- the plot


@exact
def plot_of(fit: Fit, messages: Messages) -> Plot:
    """What the model is a line through: 1/Tc over depth, flow or Tc over power, volume over the right abscissa."""
    match fit.model:
        case AffineLevel():
            depths = [run.depth_m or ZERO for run in fit.runs]
            points = [(depth, run.energy_kwh / run.volume_m3) for depth, run in zip(depths, fit.runs, strict=True)]
            ends = (min(depths), max(depths))
            trace = tuple((depth, fit.model.specific_energy(depth)) for depth in ends)
            return _plot("level", points, [Trace(trace)], fit, messages)
        case Curve():
            points = [(_at(fit, at), _y_of_curve(fit, at)) for at in range(len(fit.runs))]
            return _plot(fit.model.table, points, [Trace(fit.model.points)], fit, messages)
    points = [(_x(fit, at), run.volume_m3) for at, run in enumerate(fit.runs)]
    far = max(x for x, _ in points)
    kind = "head" if fit.name == "physical" else "energy"
    return _plot(kind, points, _rays(fit, far), fit, messages, from_zero=True)


def _x(fit: Fit, position: int) -> Decimal:
    """The abscissa of a run: as its calibration had it for `physical`, else its energy."""
    if fit.name != "physical":
        return fit.runs[position].energy_kwh
    group = fit.groups[0]
    return group.x[group.positions.index(position)]


def _rays(fit: Fit, far: Decimal) -> list[Trace]:
    if isinstance(fit.model, TwoPhase):
        model = fit.model
        knee = (model.drop_energy_kwh, model.drop_volume_m3)
        return [Trace(((ZERO, ZERO), knee, (far, knee[1] + model.tc_stable * (far - knee[0]))))]
    if isinstance(fit.model, Dated):
        return [Trace(((ZERO, ZERO), (far, group.result.tc * far)), group.label) for group in fit.groups]
    if fit.name == "two_phase":
        return []
    return [Trace(((ZERO, ZERO), (far, fit.groups[0].result.tc * far)))]


def _at(fit: Fit, position: int) -> Decimal:
    run = fit.runs[position]
    is_frequency = isinstance(fit.model, Curve) and fit.model.table == "tc_by_frequency"
    return (run.frequency_hz if is_frequency else run.power_kw) or ZERO


def _y_of_curve(fit: Fit, position: int) -> Decimal:
    group = next(each for each in fit.groups if position in each.positions)
    return ratio_of(group, position, fit.runs[position])


def _plot(
    kind: str,
    points: Sequence[tuple[Decimal, Decimal]],
    traces: Sequence[Trace],
    fit: Fit,
    messages: Messages,
    *,
    from_zero: bool = False,
) -> Plot:
    dropped = set(fit.rejected)
    return Plot(
        x_title=messages.text(f"calibration.axis.{kind}.x"),
        y_title=messages.text(f"calibration.axis.{kind}.y"),
        points=tuple(Point(x, y, fit.runs[at].label, at not in dropped) for at, (x, y) in enumerate(points)),
        traces=tuple(traces),
        from_zero=from_zero,
    )
