"""`qushui frame PROTOCOL HEX`: one frame taken apart, or precisely what is wrong with it."""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TextIO

from agent import page
from agent.messages import Messages
from agent.uplinks.sl651_wire import fields as sl651_fields
from agent.uplinks.sl651_wire.lines import rows_of as sl651_rows
from agent.uplinks.szy206_wire import fields as szy206_fields
from drivers import cjt188_frame, dlt645_frame
from drivers.modbus_frame import Direction, DirectionNeeded, Frame, FrameError, decode_rtu, decode_tcp

HELP_KEY = "cli.verb.frame"

_PROTOCOLS: Mapping[str, Callable[[bytes, Direction | None], Frame]] = MappingProxyType(
    {"modbus-rtu": decode_rtu, "modbus-tcp": decode_tcp}
)


@dataclass(frozen=True, slots=True)
class _Page:
    """A protocol whose frames are shown by the names of its own page: `fields(frame, edition)` of one of `editions`.

    `options` are the arguments it takes besides, by name: what no frame tells. Where the frame is not sound, the fields
    also hold `error`: {code, arguments}, the sentence `frame.wrong.CODE`. It is for people: the page says which keys
    such a frame has, and machines get no others; where it has none, they get the error. `rows` are what people
    get: names and values, one line each.
    """

    fields: Callable[..., dict[str, Any]]
    editions: tuple[str, ...]
    options: frozenset[str] = frozenset()
    rows: Callable[[Mapping[str, Any]], Iterable[tuple[str, Any]]] = Mapping.items


_PAGES: Mapping[str, _Page] = MappingProxyType(
    {
        "dlt645": _Page(dlt645_frame.fields_of, dlt645_frame.EDITIONS),
        "cjt188": _Page(cjt188_frame.fields_of, cjt188_frame.EDITIONS, frozenset({"litre_decimals", "clock_order"})),
        "sl651": _Page(sl651_fields.fields_of, sl651_fields.EDITIONS, rows=sl651_rows),
        "szy206": _Page(szy206_fields.fields_of, szy206_fields.EDITIONS, frozenset(szy206_fields.OPTIONS)),
    }
)
_FIELDS = ("transaction", "address", "function", "direction", "register", "count", "data", "exception", "crc")
_SHOWN_HEX = 24  # characters of a word that is no hex
_SEPARATORS = re.compile(r"0[xX]|[\s:,;_-]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("protocol", help="cli.frame.protocol")
    parser.add_argument("hex", nargs="+", help="cli.frame.hex")
    parser.add_argument("--direction", choices=[side.value for side in Direction], help="cli.frame.direction")
    parser.add_argument("--protocol", "--edition", dest="edition", help="cli.frame.edition")
    litres = cjt188_frame.LITRE_DECIMALS
    parser.add_argument("--litre-decimals", type=int, choices=litres, help="cli.frame.litre_decimals")
    parser.add_argument("--clock-order", choices=cjt188_frame.CLOCK_ORDERS, help="cli.frame.clock_order")
    for name, values in szy206_fields.OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", choices=values, help=f"cli.frame.{name}")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0: the frame is sound; 1: it is not; 2: this is no frame at all, or the side that sent it must be given."""
    names = (*_PROTOCOLS, *_PAGES)
    if arguments.protocol not in names:
        print(out.text("cli.frame.no_protocol", value=arguments.protocol, known=" ".join(names)), file=sys.stderr)
        for near in difflib.get_close_matches(arguments.protocol.lower(), names, n=1):
            print(out.text("cli.did_you_mean", value=near), file=sys.stderr)
        return 2
    if (name := _not_taken(arguments)) is not None:
        taken = " ".join(map(_typed, _taken(arguments.protocol)))
        print(
            out.text("cli.frame.not_taken", name=_typed(name), value=arguments.protocol, known=taken), file=sys.stderr
        )
        return 2
    try:
        frame = bytes_of(" ".join(arguments.hex))
    except ValueError as error:
        print("\n".join(page.wrapped(_no_hex(str(error), out), out.width)), file=sys.stderr)
        return 2
    if arguments.protocol in _PAGES:
        return _run_page(_PAGES[arguments.protocol], frame, arguments, out)
    return _run_modbus(_PROTOCOLS[arguments.protocol], frame, arguments, out)


def _taken(protocol: str) -> list[str]:
    """The options that say something about frames of this protocol."""
    return ["edition", *sorted(_PAGES[protocol].options)] if protocol in _PAGES else ["direction"]


def _not_taken(arguments: argparse.Namespace) -> str | None:
    """The first option given that another protocol has; to pass over it would look as if it had been obeyed."""
    known = dict.fromkeys(name for protocol in (*_PROTOCOLS, *_PAGES) for name in _taken(protocol))
    foreign = (name for name in known if name not in _taken(arguments.protocol))
    return next((name for name in foreign if getattr(arguments, name) is not None), None)


def _typed(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _run_modbus(
    decode: Callable[[bytes, Direction | None], Frame], frame: bytes, arguments: argparse.Namespace, out: Messages
) -> int:
    try:
        fields = _fields(decode(frame, Direction(arguments.direction) if arguments.direction else None))
    except FrameError as wrong:
        return _say_wrong(wrong, arguments, out)
    except DirectionNeeded:
        print(out.text("cli.frame.direction_needed"), file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(fields))
    else:
        print("\n".join(_lines(fields, out)))
    return 0


def _no_hex(word: str, out: Messages) -> str:
    """What is wrong with a word: a character, by its place, or a digit too few or too many."""
    shown = word if len(word) <= _SHOWN_HEX else f"{word[:_SHOWN_HEX]}…"
    if wrong := re.search("[^0-9a-fA-F]", word):
        return out.text("cli.frame.bad_hex", value=shown, character=wrong[0], place=wrong.start() + 1)
    return out.text("cli.frame.odd_hex" if word else "cli.frame.no_hex", value=shown, count=len(word))


def bytes_of(text: str) -> bytes:
    """The bytes that hex digits stand for, with or without blanks, colons, dashes and 0x.

    Raises:
        ValueError: with the word that is none; empty where there is no word.
    """
    words = [word for word in _SEPARATORS.split(text) if word]
    if not words:
        raise ValueError("")
    if all(len(word) <= 2 for word in words):  # noqa: PLR2004 - single bytes; "1 3 0" is read as 01 03 00
        words = [word.zfill(2) for word in words]
    for word in words:
        if len(word) % 2 or re.fullmatch("[0-9a-fA-F]+", word) is None:
            raise ValueError(word)
    return bytes.fromhex("".join(words))


def _fields(frame: Frame) -> dict[str, object]:
    """The frame as JSON: hex in upper case without blanks; null where this kind of frame has no such field."""
    fields: dict[str, object] = {}
    for name in _FIELDS:
        value = getattr(frame, name)
        fields[name] = value.hex().upper() if isinstance(value, bytes) else value
    return fields


def _run_page(shown: _Page, frame: bytes, arguments: argparse.Namespace, out: Messages) -> int:
    edition = arguments.edition or shown.editions[0]
    if edition not in shown.editions:
        known = " ".join(shown.editions)
        print(out.text("cli.wrong.choice", name="--edition", value=edition, allowed=known), file=sys.stderr)
        return 2
    options = {name: getattr(arguments, name) for name in shown.options}
    fields = shown.fields(frame, edition, **options)
    error = fields.pop("error", None)
    if arguments.json:
        print(json.dumps(fields or {"error": error}))
    elif error is None:
        print("\n".join(_page_lines(shown.rows(fields), arguments.protocol, out)))
    if error is None:
        return 0
    said = _in_words(error["arguments"], arguments.protocol, out)
    _explain(error["code"], said, out, sys.stderr if arguments.json else sys.stdout)
    return 1


def _say_wrong(wrong: FrameError, arguments: argparse.Namespace, out: Messages) -> int:
    if arguments.json:
        print(json.dumps({"error": {"code": wrong.code, "arguments": wrong.arguments}}))
    else:
        _explain(wrong.code, wrong.arguments, out, sys.stdout)
    return 1


def _in_words(arguments: Mapping[str, Any], protocol: str, out: Messages) -> dict[str, Any]:
    """`arguments` with the parts of a frame by their titles instead of their keys."""
    keys = {name: f"frame.{protocol}.{value}" for name, value in arguments.items() if name in {"part", "direction"}}
    return {**arguments, **{name: out.text(key) for name, key in keys.items() if out.has(key)}}


def _explain(code: str, arguments: Mapping[str, Any], out: Messages, stream: TextIO) -> None:
    print("\n".join(page.wrapped(out.text(f"frame.wrong.{code}", **arguments), out.width)), file=stream)


def _page_lines(rows: Iterable[tuple[str, Any]], protocol: str, out: Messages) -> list[str]:
    """The rows under their titles in the page's order; a set flag by its title alone, one that is not set not."""
    titled = [
        (_title(name, protocol, out), _page_value(name, value, protocol, out))
        for name, value in rows
        if value is not False or name in {"valid", "bcd_valid", "data_fits"}
    ]
    column = 2 + max(page.width_of(title) for title, _ in titled)
    lines = []
    for title, text in titled:
        lines += page.labelled(title, text, indent=0, column=column, width=out.width)
    return lines


def _title(name: str, protocol: str, out: Messages) -> str:
    """What a row is called: `frame.PROTOCOL.NAME`, of `NAME#3` with its number; what has no title, its last word."""
    stem, _, number = name.partition("#")
    key = f"frame.{protocol}.{stem}"
    return out.text(key, number=number) if out.has(key) else f"{stem.rpartition('.')[2]}{number}"


def _page_value(name: str, value: object, protocol: str, out: Messages) -> str:
    match value:
        case None | []:
            return "–"
        case bool():
            return "✓" if value else "✗"
        case list():
            between = "; " if any(isinstance(each, dict) for each in value) else ", "
            return between.join(_page_value(name, each, protocol, out) for each in value)
        case dict():
            return ", ".join(_pairs(value, protocol, out))
        case str() if name in {"data", "data_plain", "trailing", "body"}:
            return page.spaced_hex(value)
    key = f"frame.{protocol}.said.{name}.{value}"
    said = out.text(key) if out.has(key) else str(value)
    return said if said == str(value) else f"{value} {said}"


def _pairs(values: Mapping[str, object], protocol: str, out: Messages) -> Iterator[str]:
    """Title and value of each part; of a flag the title alone, if it is set."""
    for name, value in values.items():
        if value is True:
            yield _title(name, protocol, out)
        elif value is not False:
            yield f"{_title(name, protocol, out)}: {_page_value(name, value, protocol, out)}"


def _lines(fields: Mapping[str, object], out: Messages) -> list[str]:
    titles = {name: out.text(f"frame.field.{name}") for name, value in fields.items() if value is not None}
    column = 2 + max(page.width_of(title) for title in titles.values())
    lines = []
    for name, title in titles.items():
        lines += page.labelled(title, _shown(name, fields[name], out), indent=0, column=column, width=out.width)
    return lines


def _shown(name: str, value: object, out: Messages) -> str:
    if name in {"data", "crc"}:
        return page.spaced_hex(str(value))
    if name in {"function", "exception", "direction"} and out.has(f"frame.{name}.{value}"):
        words = out.text(f"frame.{name}.{value}")
        return words if name == "direction" else f"{value}  {words}"
    if name == "register":
        return f"{value}  (0x{value:04X})"
    return str(value)
