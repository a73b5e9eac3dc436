"""A report's figures and codes in a person's language: numbers as they are, times in the station's zone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal
from zoneinfo import ZoneInfo

from agent.derive.exact import CONTEXT
from agent.messages import Messages
from agent.reports.report import Report

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_MS = 60_000
_U_DIGITS = 2  # an uncertainty is stated with two significant digits, and the value to the same place


def number(value: Decimal | int | None) -> str:
    """A number as it is, without exponent or trailing zeros; "" for None."""
    if value is None:
        return ""
    text = f"{Decimal(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def grouped(value: Decimal | int | None) -> str:
    """The same with its whole digits in groups of three, apart by narrow blanks that do not break."""
    return _grouped(number(value))


def _grouped(text: str) -> str:
    sign, text = ("−", text[1:]) if text.startswith("-") else ("", text)
    whole, dot, rest = text.partition(".")
    return sign + (f"{int(whole):,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if whole else "") + dot + rest


def stated(value: Decimal, u: Decimal) -> tuple[str, str]:
    """A value and its expanded uncertainty, rounded to the latter's two significant digits (up, for the latter)."""
    if not u:
        return grouped(value), "0"
    step = Decimal(1).scaleb(u.adjusted() - _U_DIGITS + 1)
    rounded_u = u.quantize(step, ROUND_UP, CONTEXT)
    rounded = value.quantize(step, ROUND_HALF_EVEN, CONTEXT)
    return _grouped(f"{rounded:f}"), _grouped(f"{rounded_u:f}")


class Wording:
    """The words and the local times of one report in one language."""

    def __init__(self, report: Report, messages: Messages) -> None:
        self.out = messages
        self._zone = ZoneInfo(report.timezone)

    def text(self, key: str, /, **arguments: object) -> str:
        """The sentence `report.KEY`."""
        return self.out.text(f"report.{key}", **arguments)

    def word(self, family: str, code: str) -> str:
        """A code in words, where there are some: `report.FAMILY.CODE`."""
        key = f"report.{family}.{code}"
        return self.out.text(key) if code and self.out.has(key) else code

    def rule(self, code: str) -> str:
        """A quality rule by its name."""
        return self.word("rule", code)

    def flag(self, code: str) -> str:
        """A flag with its words."""
        words = self.out.reason(code)
        return code if words == code else f"{code} {words}"

    def time(self, at_ms: int | None) -> str:
        """A moment in the station's time, to the second; "" for None."""
        return "" if at_ms is None else self._local(at_ms).strftime("%Y-%m-%d %H:%M:%S")

    def minute(self, at_ms: int | None) -> str:
        """A moment in the station's time, to the minute."""
        return "" if at_ms is None else self._local(at_ms).strftime("%Y-%m-%d %H:%M")

    def offset(self, at_ms: int) -> str:
        """A moment with its offset, ISO 8601."""
        return self._local(at_ms).isoformat(timespec="seconds")

    def minutes(self, duration_ms: int) -> str:
        """A duration in minutes, one decimal."""
        return f"{Decimal(duration_ms) / _MINUTE_MS:.1f}"

    def listed(self, words: Iterable[str]) -> str:
        """Several words in a row."""
        return self._mark("list_mark").join(words)

    def facts(self, words: Iterable[str]) -> str:
        """Several statements in a row, which may have commas of their own."""
        return self._mark("fact_mark").join(words)

    def _mark(self, key: str) -> str:
        """What stands between two words: Chinese marks bring their blank along."""
        return self.text(key) + ("" if self.out.lang == "zh" else " ")

    def _local(self, at_ms: int) -> datetime:
        return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(self._zone)
