"""The reference page of the quality rules, made from their table and the locale."""

from __future__ import annotations

from decimal import Decimal

from agent.messages import Messages
from agent.rules.faults import faults_of
from agent.rules.table import RULES_BY_ID, Rule

_EXAMPLE = """\
intakes:
  well-3:
    rules:
      R8: {suspect: 6, fail: 12}
      R20: {hold_off: 1h}
      R21: {enabled: false}"""
_COLUMNS = ("rule", "condition", "thresholds", "ends", "fault")


def rules_page(messages: Messages) -> str:
    """All rules in Markdown: condition, own thresholds, when a finding ends, Fault, quality code of OPC UA."""
    lines = [f"# {messages.text('rules_page.title')}", "", messages.text("rules_page.intro"), ""]
    titles = [messages.text(f"rules_page.column.{column}") for column in _COLUMNS]
    lines += [_row(titles), _row(["---"] * len(titles))]
    lines += [_row(_cells(rule, messages)) for rule in RULES_BY_ID.values()]
    lines += ["", f"## {messages.text('rules_page.settings_title')}", "", messages.text("rules_page.settings"), ""]
    lines += ["```yaml", _EXAMPLE, "```", ""]
    lines += [f"- {each}" for each in messages.texts("rules_page.meaning")]
    lines += ["", f"## {messages.text('rules_page.quality_title')}", "", messages.text("rules_page.quality"), ""]
    titles = [messages.text(f"rules_page.column.{column}") for column in ("rule", "opc_ua")]
    lines += [_row(titles), _row(["---"] * len(titles))]
    lines += [_row([rule.id, f"`{rule.opc_ua}`"]) for rule in RULES_BY_ID.values() if rule.opc_ua]
    return "\n".join(lines) + "\n"


def rule_lines(rule: Rule, messages: Messages) -> list[str]:
    """A rule for a terminal: its name, its condition, its own thresholds by their keys."""
    key = f"rule.{rule.id}"
    own = ", ".join(f"{name}: {value}" for name, value in _thresholds(rule, messages))
    return [f"{rule.id}  {messages.text(f'{key}.name')}", messages.text(f"{key}.condition"), *([own] if own else [])]


def _thresholds(rule: Rule, messages: Messages) -> list[tuple[str, str]]:
    """Every threshold by its key, with what it counts."""
    key = f"rule.{rule.id}"
    thresholds = [
        (name, f"{_number(value)} {messages.text(f'{key}.{name}')}".rstrip())
        for name, value in (("suspect", rule.suspect), ("fail", rule.fail))
        if messages.has(f"{key}.{name}")
    ]
    return [*thresholds, ("min_samples", str(rule.min_samples))] if rule.min_samples > 1 else thresholds


def _cells(rule: Rule, messages: Messages) -> list[str]:
    """A rule's row."""
    key = f"rule.{rule.id}"
    thresholds = [f"`{name}` {value}" for name, value in _thresholds(rule, messages)]
    ends = messages.text("rules_page.hold_off", seconds=f"{rule.hold_off_s:f}")
    faults = " ".join(f"`{code}`" for code in faults_of(rule.id))
    title = f"**{rule.id}** {messages.text(f'{key}.name')} (`{rule.word}`, {rule.version})"
    return [title, messages.text(f"{key}.condition"), "; ".join(thresholds) or "–", ends, faults]


def _number(value: Decimal | None) -> str:
    return "–" if value is None else f"{value:f}"


def _row(cells: list[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
