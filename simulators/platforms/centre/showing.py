"""What a simulated centre has on record, as lines for people. Pure but for the archive it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from agent import page
from agent.messages import Messages
from simulators.platforms.centre.archive import Archive, Exchange, Received, Violation

_CHINA = timezone(timedelta(hours=8))
_ROWS = 20
_HEX_SHOWN = 160
_SHEET = "sheet §"  # how a rule without a public clause begins


def shown_values(values: Mapping[str, Any]) -> str:
    """The values of a report in one line."""
    return " ".join(f"{name}={_plain(value)}" for name, value in values.items())


def _plain(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return "[" + " ".join(map(_plain, value)) + "]"
    if isinstance(value, dict):
        return "{" + shown_values(value) + "}"
    return str(value)


def said(word: str, messages: Messages) -> str:
    """What a station says of itself, in words; a code that is not known as it is."""
    key = f"simulated_centre.said.{word}"
    return messages.text(key) if messages.has(key) else word


def sentence_of(code: str, arguments: Mapping[str, Any], messages: Messages) -> str:
    """What is wrong, said; codes of the codecs have sentences of their own."""
    key = f"simulated_centre.wrong.{code}"
    return messages.text(key if messages.has(key) else f"frame.wrong.{code}", **arguments)


def whole(archive: Archive, messages: Messages) -> list[str]:
    """Everything: stations, the last reports, orders, violations, the last frames."""
    lines: list[str] = []
    for title, found in (
        ("stations", stations(archive.stations(), messages)),
        ("reports", reports(archive.reports(last=_ROWS), messages)),
        ("orders", exchanges(archive.exchanges()[-_ROWS:], messages)),
        ("violations", violations(archive.violations(), messages)),
        ("frames", frames(archive, messages)),
    ):
        lines += ["", _word(title, messages), *(found or [_word("nothing", messages)])]
    return lines[1:]


def stations(found: Sequence[Mapping[str, Any]], messages: Messages) -> list[str]:
    """A table of stations."""
    names = ("station", "online", "last", "state", "sent", "acknowledged")
    rows = [
        (
            each["station"],
            _word("there" if each["is_online"] else "gone", messages),
            _clock(each["last_ms"]),
            said(each["state"], messages),
            str(each["reports"]),
            str(each["acknowledged"]),
        )
        for each in found
    ]
    return _table(rows, names, messages)


def reports(found: Sequence[Received], messages: Messages) -> list[str]:
    """A table of reports."""
    names = ("station", "function", "serial", "observed", "copies", "how", "values")
    rows = [
        (
            each.station,
            each.function,
            str(each.serial),
            each.observed,
            str(each.copies),
            each.how or "–",
            shown_values(each.values),
        )
        for each in found
    ]
    return _table(rows, names, messages)


def exchanges(found: Sequence[Exchange], messages: Messages) -> list[str]:
    """A table of orders and their answers."""
    names = ("order", "station", "name", "state", "answer")
    rows = [
        (str(each.number), each.station, each.name, each.state, " ; ".join(map(shown_values, each.answers)))
        for each in found
    ]
    return _table(rows, names, messages)


def violations(found: Sequence[Violation], messages: Messages) -> list[str]:
    """What is wrong, and what differs, each with its rule."""
    lines = []
    for each in found:
        key = f"simulated_centre.violation.{'failed' if each.is_failed else 'differs'}"
        sentence = sentence_of(each.code, each.arguments, messages)
        text = messages.text(key, station=each.station or "?", clause=rule(each.clause, messages), sentence=sentence)
        lines += page.wrapped(f"{text} ×{each.times}", messages.width)
        if each.hex:
            lines += page.wrapped(f"  {proof(each.hex)}", messages.width)
    return lines


def rule(clause: str, messages: Messages) -> str:
    """The clause or table that is broken; where none is known, the section of the fact sheet, in words."""
    number = clause.removeprefix(_SHEET)
    return clause if number == clause else messages.text("conformance.sheet", number=number)


def proof(text: str) -> str:
    """The bytes that show what is wrong, as many as fit a few lines."""
    return page.spaced_hex(text[:_HEX_SHOWN]) + (" …" if len(text) > _HEX_SHOWN else "")


def frames(archive: Archive, messages: Messages) -> list[str]:
    """The last frames in both directions."""
    lines: list[str] = []
    for at_ms, station, is_up, function, text in archive.frames(last=_ROWS):
        arrow = "<" if is_up else ">"
        lines += page.wrapped(f"{_clock(at_ms)} {arrow} {station} {function} {proof(text)}", messages.width)
    return lines


def _table(rows: Iterable[Sequence[str]], names: Sequence[str], messages: Messages) -> list[str]:
    listed = list(rows)
    headers = [_word(name, messages) for name in names]
    return page.table(listed, headers, width=messages.width).split("\n") if listed else []


def _word(name: str, messages: Messages) -> str:
    return messages.text(f"simulated_centre.show.{name}")


def _clock(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(_CHINA):%m-%d %H:%M:%S}"
