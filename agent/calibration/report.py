"""The calibration report: one HTML file of its own, A4 when printed, in Chinese or English. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from html import escape

from agent.calibration.drafting import rounded
from agent.calibration.plot import drawn
from agent.calibration.result import Fit
from agent.calibration.runs import Run, Table
from agent.calibration.telling import model_text, percent, plot_of, ratio_of, remark_text, uncertainty_text
from agent.derive.exact import PERCENT
from agent.messages import Messages

_STYLE = """
@page { size: A4; margin: 16mm 14mm 18mm 14mm; }
* { box-sizing: border-box; }
body { font: 10.5pt/1.45 "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", sans-serif;
  color: #1a1a1a; max-width: 182mm; margin: 8mm auto; padding: 0 4mm; }
h1 { font-size: 17pt; margin: 0 0 2mm; }
h2 { font-size: 12.5pt; margin: 7mm 0 2mm; border-bottom: 0.4mm solid #1a1a1a; break-after: avoid; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 1.2mm 1.6mm; border-bottom: 0.2mm solid #b8b8b8; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
.facts th { width: 42mm; font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.result { font-size: 13pt; font-weight: 700; padding: 2.5mm 4mm; border: 0.6mm solid; margin: 4mm 0; }
.result p { font-size: 10.5pt; font-weight: 400; color: #1a1a1a; margin: 1mm 0 0; }
.accepted { color: #14652f; } .refused { color: #a3121f; }
.rejected td { color: #a3121f; }
ul { margin: 1mm 0; padding-left: 6mm; }
figure { margin: 3mm 0; break-inside: avoid; }
figcaption { font-size: 9pt; color: #444; margin-top: 1mm; }
svg.plot { width: 100%; height: auto; font-size: 12px; }
svg .grid { stroke: #e2e2e2; stroke-width: 1; } svg .frame { fill: none; stroke: #1a1a1a; stroke-width: 1; }
svg .fit { fill: none; stroke: #0a5aa8; stroke-width: 1.8; }
svg .kept { fill: #fff; stroke: #1a1a1a; stroke-width: 1.5; }
svg path.out { stroke: #c1121f; stroke-width: 2.2; fill: none; } svg text.out { fill: #c1121f; font-weight: 600; }
.sign { margin-top: 14mm; display: grid; grid-template-columns: 1fr 1fr 1fr; gap: 8mm; break-inside: avoid; }
.sign div { border-top: 0.3mm solid #1a1a1a; padding-top: 1.5mm; }
.hash { font: 8.5pt "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: anywhere; }
@media print { body { margin: 0; padding: 0; max-width: none; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""
_OPTIONAL = ("minutes", "depth_m", "pressure_mpa", "power_kw", "frequency_hz")


def as_html(fit: Fit, table: Table, facts: Mapping[str, str], messages: Messages) -> str:
    """The page. `facts` are shown first, by the keys `calibration.fact.…`; empty ones as a line to fill in."""
    word = messages.text
    lang = "zh-CN" if messages.lang == "zh" else "en"
    title = word("calibration.page.title")
    parts = [
        f'<!DOCTYPE html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)} {escape(facts.get('well', ''))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        f"<h1>{escape(title)}</h1>",
        _facts(facts, messages),
        _result(fit, messages),
        f"<figure>{drawn(plot_of(fit, messages))}",
        f"<figcaption>{escape(word('calibration.page.plot'))}</figcaption></figure>",
        f"<h2>{escape(word('calibration.page.statistics'))}</h2>",
        _statistics(fit, messages),
        f"<h2>{escape(word('calibration.page.runs'))}</h2>",
        _runs(fit, messages),
        *_remarks(fit, messages),
        f"<h2>{escape(word('calibration.page.how'))}</h2>",
        *(f"<p>{escape(line)}</p>" for line in messages.texts(f"calibration.how.{fit.name}")),
        *(f"<p>{escape(line)}</p>" for line in messages.texts("calibration.how.all")),
        f'<p class="hash">{escape(table.file)} · SHA-256 {escape(facts.get("table_sha256", ""))}</p>',
        '<div class="sign">',
        *(f"<div>{escape(word(f'calibration.page.{who}'))}</div>" for who in ("tester", "checker", "date")),
        "</div>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _facts(facts: Mapping[str, str], messages: Messages) -> str:
    rows = [
        f"<tr><th>{escape(messages.text(f'calibration.fact.{key}'))}</th><td>{escape(value) or '&nbsp;'}</td></tr>"
        for key, value in facts.items()
        if key != "table_sha256"
    ]
    return f'<table class="facts">{"".join(rows)}</table>'


def _result(fit: Fit, messages: Messages) -> str:
    kind = "accepted" if fit.is_accepted else "refused"
    parts = [f'<div class="result {kind}">{escape(messages.text(f"calibration.{kind}"))}']
    if fit.model is not None:
        parts.append(f"<p>{escape(model_text(fit.model, messages))}</p>")
        parts.append(f"<p>{escape(uncertainty_text(fit, messages))}</p>")
    parts += [f"<p>✗ {escape(remark_text(each, fit.runs, messages))}</p>" for each in fit.remarks if each.refuses]
    return "".join([*parts, "</div>"])


def _statistics(fit: Fit, messages: Messages) -> str:
    keys = ("n", "ratio", "s", "cv", "spread", "ci")
    heads = [messages.text(f"calibration.column.{key}") for key in keys]
    heads = [messages.text("calibration.column.group"), *heads] if len(fit.groups) > 1 else heads
    rows = []
    for group in fit.groups:
        found = group.result
        cells = [str(len(found.kept)), f"{rounded(found.tc, 5):f}", f"{rounded(found.s_ratio, 3):f}"]
        cells += [percent(found.cv), percent(found.spread), f"± {rounded(found.ci95, 3):f}"]
        rows.append((("",), [group.label, *cells] if len(fit.groups) > 1 else cells))
    return _table(heads, rows)


def _runs(fit: Fit, messages: Messages) -> str:
    optional = [name for name in _OPTIONAL if any(getattr(run, name) is not None for run in fit.runs)]
    names = ["run", "energy_kwh", "volume_m3", *optional, "single", "deviation", "counts"]
    heads = [messages.text(f"calibration.column.{name}") for name in names]
    rows = []
    for at, run in enumerate(fit.runs):
        group = next(each for each in fit.groups if at in each.positions)
        ratio = ratio_of(group, at, run)
        is_kept = at in fit.kept
        cells = [run.label, str(run.energy_kwh), str(run.volume_m3), *(_cell(run, name) for name in optional)]
        cells += [f"{rounded(ratio, 5):f}", _deviation(ratio / group.result.tc - 1)]
        cells.append(messages.text("calibration.kept" if is_kept else "calibration.outlier"))
        rows.append((("",) if is_kept else ("rejected",), cells))
    return _table(heads, rows)


def _cell(run: Run, name: str) -> str:
    value = getattr(run, name)
    return "" if value is None else f"{rounded(value, 5).normalize():f}"


def _deviation(fraction: Decimal) -> str:
    return f"{fraction * PERCENT:+.2f} %".replace("-", "−")


def _table(heads: Iterable[str], rows: Iterable[tuple[tuple[str, ...], list[str]]]) -> str:
    head = "".join(f'<th class="number">{escape(each)}</th>' for each in heads)
    body = []
    for (kind,), cells in rows:
        inner = "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells)
        body.append(f'<tr class="{kind}">{inner}</tr>' if kind else f"<tr>{inner}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _remarks(fit: Fit, messages: Messages) -> list[str]:
    remarks = [each for each in fit.remarks if not each.refuses]
    if not remarks:
        return []
    items = "".join(f"<li>{escape(remark_text(each, fit.runs, messages))}</li>" for each in remarks)
    return [f"<h2>{escape(messages.text('calibration.page.remarks'))}</h2>", f"<ul>{items}</ul>"]
