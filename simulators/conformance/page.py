"""The report that is signed: one HTML file of its own, A4 when printed, in Chinese or English."""

from __future__ import annotations

from html import escape

from agent.messages import Messages
from simulators.conformance.report import Run, clause_text, evidence_text, reason_text, title_text
from simulators.conformance.verdict import Outcome, Verdict

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
tr, section { break-inside: avoid; }
.facts th { width: 34mm; font-weight: 600; }
.result { font-size: 14pt; font-weight: 700; padding: 2.5mm 4mm; border: 0.6mm solid; margin: 4mm 0; }
.result small { font-size: 10.5pt; font-weight: 400; margin-left: 4mm; }
.verdict { white-space: nowrap; font-weight: 600; }
.passed { color: #14652f; } .failed { color: #a3121f; } .differs { color: #7a5200; } .undecided { color: #555; }
.id { color: #555; font-size: 8.5pt; }
.clause { width: 68mm; font-size: 9pt; }
h3 { font-size: 10.5pt; margin: 4mm 0 1mm; }
p { margin: 0 0 1mm; overflow-wrap: anywhere; }
.reason { white-space: pre-line; }
pre { font: 8.5pt/1.4 "DejaVu Sans Mono", "Noto Sans Mono CJK SC", Consolas, monospace; margin: 1mm 0;
  padding: 1.5mm 2mm; background: #f2f2f2; white-space: pre-wrap; overflow-wrap: anywhere; }
.sign { margin-top: 12mm; display: grid; grid-template-columns: 1fr 1fr 1fr; gap: 8mm; break-inside: avoid; }
.sign div { border-top: 0.3mm solid #1a1a1a; padding-top: 1.5mm; }
@media print { body { margin: 0; padding: 0; max-width: none; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""


def as_html(run: Run, messages: Messages) -> str:
    """The page: what was tested, the result, every test in one line, then what each one heard."""
    word = messages.text
    lang = "zh-CN" if messages.lang == "zh" else "en"
    title = word(_key(run, "title"))
    parts = [
        f'<!DOCTYPE html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)} {escape(run.profile.name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        f"<h1>{escape(title)}</h1>",
        _facts(run, messages),
        _result(run, messages),
        f"<h2>{escape(word('conformance.page.tests'))}</h2>",
        _table(run, messages),
        f"<h2>{escape(word('conformance.page.details'))}</h2>",
        f"<p>{escape(word(_key(run, 'reads-only')))}</p>",
        *(_detail(outcome, run, messages) for outcome in _by_weight(run)),
        '<div class="sign">',
        *(f"<div>{escape(word(f'conformance.page.{who}'))}</div>" for who in ("tester", "maker", "date")),
        "</div>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _key(run: Run, name: str) -> str:
    """The words that differ by what was tested."""
    return f"conformance.page.{name}" if run.kind == "meter" else f"conformance.page-{run.kind}.{name}"


def _fact_key(run: Run, name: str) -> str:
    return _key(run, name) if name == "meter" else f"conformance.page.{name}"


def _facts(run: Run, messages: Messages) -> str:
    title = run.profile.title.get(messages.lang, run.profile.name)
    rows = {
        "meter": f"{title} ({run.profile.name}, {run.profile.version})" if run.kind == "meter" else title,
        "source": run.profile.source,
        "place": f"{run.place} · {run.settings}",
        "address": run.address,
        "began": run.began.strftime("%Y-%m-%d %H:%M:%S %z"),
        "took": f"{run.took_s:.0f} s",
        "program": f"qushui-sim conformance {run.version}",
    }
    cells = (
        f"<tr><th>{escape(messages.text(_fact_key(run, key)))}</th><td>{escape(value)}</td></tr>"
        for key, value in rows.items()
    )
    return f'<table class="facts">{"".join(cells)}</table>'


def _result(run: Run, messages: Messages) -> str:
    verdict = "passed" if run.passed else "failed"
    counts = messages.text("conformance.counts", **run.counts)
    said = messages.text(f"conformance.result.{verdict}")
    return f'<div class="result {verdict}">{escape(said)}<small>{escape(counts)}</small></div>'


def _table(run: Run, messages: Messages) -> str:
    heads = "".join(
        f"<th>{escape(messages.text(f'conformance.page.{key}'))}</th>" for key in ("test", "verdict", "clause")
    )
    rows = "".join(
        f'<tr><td>{escape(title_text(messages, each))} <span class="id">{each.case.id}</span></td>'
        f"<td>{_verdict(each, messages)}</td>"
        f'<td class="clause">{escape(clause_text(messages, each.clause, run.profile))}</td></tr>'
        for each in run.outcomes
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _verdict(outcome: Outcome, messages: Messages) -> str:
    name = outcome.finding.verdict.value
    return f'<span class="verdict {name}">{escape(messages.text(f"conformance.verdict.{name}"))}</span>'


def _by_weight(run: Run) -> list[Outcome]:
    """What failed first, then what differs, what is open, and what passed."""
    order = [Verdict.FAILED, Verdict.DIFFERS, Verdict.UNDECIDED, Verdict.PASSED]
    return sorted(run.outcomes, key=lambda each: order.index(each.finding.verdict))


def _detail(outcome: Outcome, run: Run, messages: Messages) -> str:
    evidence = "\n".join(evidence_text(messages, heard) for heard in outcome.finding.evidence)
    does = messages.text(f"conformance.case.{outcome.case.id}.does")
    clause = clause_text(messages, outcome.clause, run.profile)
    return (
        f"<section><h3>{_verdict(outcome, messages)} · {escape(title_text(messages, outcome))} "
        f'<span class="id">{outcome.case.id}</span></h3>'
        f"<p>{escape(does)}</p><p class='reason'>{escape(reason_text(messages, outcome))}</p>"
        f'<p class="id">{escape(clause)}</p>' + (f"<pre>{escape(evidence)}</pre>" if evidence else "") + "</section>"
    )
