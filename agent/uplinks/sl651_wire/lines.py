"""The fields of a frame as rows for people: each element under its own name, with its unit. Pure.

A row is a name and a value. Names are those of `frame.sl651` in the locale files: a key of the frame, `element.CODE`,
`basic.ID` or `run.ID`; of eight alike `family.Q#3`. What has no name there shows its identifier.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent.uplinks.sl651_wire.body import is_basic
from agent.uplinks.sl651_wire.elements import IDENTIFIERS, KINDS
from agent.uplinks.sl651_wire.text import MISSING

Row = tuple[str, Any]
_LEFT_OUT = frozenset({"function_name", "station_class"})  # said by the words of `function` and `station_class_char`
_STEMS = ("Q", "Z", "WP", "SYL", "SBL", "DRZ")  # eight of each
_FAMILIES: Mapping[str, tuple[range, int]] = {  # table D.4: identifiers, and how many of them share a number
    "datum": (range(0x28, 0x30), 1),
    "correction": (range(0x30, 0x38), 1),
    "level_limits": (range(0x49, 0x59), 2),
    "pressure_limits": (range(0x59, 0x69), 2),
    "recharge": (range(0x8E, 0x96), 1),
    "base": (range(0x99, 0xA1), 1),
    "remaining_alarm": (range(0xA1, 0xA9), 1),
}


def rows_of(fields: Mapping[str, Any]) -> Iterator[Row]:
    """The fields of `fields.fields_of` in their order, taken apart as far as a person reads them one by one."""
    for key, value in fields.items():
        if key in _LEFT_OUT:
            continue
        if key == "groups":
            for group in value:
                yield from _group_rows(group)
        elif key == "params":
            table = "basic" if is_basic(int(fields["function"], 16)) else "run"
            yield from ((f"{table}.{_numbered(each['id'], table)}", each["value"]) for each in value)
        elif key == "status":
            yield _element_row(value)
        else:
            yield key, value


def _group_rows(group: Mapping[str, Any]) -> Iterator[Row]:
    for key, value in group.items():
        if key == "elements":
            yield from map(_element_row, value)
        elif key == "series":
            for each in [value] if isinstance(value, dict) else value:
                yield _name(each), each["values"]
        elif key != "station_class":
            yield key, value


def _element_row(element: Mapping[str, Any]) -> Row:
    for key in ("values_mm", "values_m"):
        if key in element:
            return _name(element), element[key]
    if "status_word" in element:
        return _name(element), {key: element[key] for key in ("status_word", "bits_set")}
    return _name(element), _with_unit(element)


def _with_unit(element: Mapping[str, Any]) -> str:
    """The value and its unit; what is missing says with which fill, what is no number its bytes."""
    value = element["value"]
    if value is None:
        return f"– ({element.get('fill') or element['raw']})"
    kind = KINDS.get(IDENTIFIERS.get(element.get("code", ""), b""))
    return value if kind is None or value == MISSING else f"{value} {kind.unit}".rstrip()


def _name(element: Mapping[str, Any]) -> str:
    code: str = element.get("code") or element["id"]
    for stem in _STEMS:
        if "code" in element and code[:-1] == stem and code[-1:].isdigit():
            return f"family.{stem}#{code[-1]}"
    return f"element.{code}"


def _numbered(identifier: str, table: str) -> str:
    """The name of a parameter in its table: one of several alike by its number, else its identifier."""
    if table == "run" and len(identifier) == 2:  # noqa: PLR2004 - one byte; FF and its extension have no family
        guide = int(identifier, 16)
        for name, (guides, shared) in _FAMILIES.items():
            if guide in guides:
                return f"{name}#{(guide - guides.start) // shared + 1}"
    return identifier
