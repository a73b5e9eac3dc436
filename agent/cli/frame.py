"""`qushui frame PROTOCOL HEX`: one frame taken apart, or precisely what is wrong with it."""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType

from agent import page
from agent.messages import Messages
from drivers.modbus_frame import Direction, DirectionNeeded, Frame, FrameError, decode_rtu, decode_tcp

HELP_KEY = "cli.verb.frame"

_PROTOCOLS: Mapping[str, Callable[[bytes, Direction | None], Frame]] = MappingProxyType(
    {"modbus-rtu": decode_rtu, "modbus-tcp": decode_tcp}
)
_FIELDS = ("transaction", "address", "function", "direction", "register", "count", "data", "exception", "crc")
_SEPARATORS = re.compile(r"0[xX]|[\s:,;_-]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("protocol", help="cli.frame.protocol")
    parser.add_argument("hex", nargs="+", help="cli.frame.hex")
    parser.add_argument("--direction", choices=[side.value for side in Direction], help="cli.frame.direction")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0: the frame is sound; 1: it is not; 2: this is no frame at all, or the side that sent it must be given."""
    decode = _PROTOCOLS.get(arguments.protocol)
    if decode is None:
        known = ", ".join(_PROTOCOLS)
        print(out.text("cli.frame.no_protocol", value=arguments.protocol, known=known), file=sys.stderr)
        for near in difflib.get_close_matches(arguments.protocol, _PROTOCOLS, n=1):
            print(out.text("cli.did_you_mean", value=near), file=sys.stderr)
        return 2
    try:
        frame = bytes_of(" ".join(arguments.hex))
    except ValueError as error:
        print(out.text("cli.frame.bad_hex", value=str(error)), file=sys.stderr)
        return 2
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


def bytes_of(text: str) -> bytes:
    """The bytes that hex digits stand for, with or without blanks, colons, dashes and 0x.

    Raises:
        ValueError: with the word that is none.
    """
    words = [word for word in _SEPARATORS.split(text) if word]
    if not words:
        raise ValueError(text.strip())
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


def _say_wrong(wrong: FrameError, arguments: argparse.Namespace, out: Messages) -> int:
    if arguments.json:
        print(json.dumps({"error": {"code": wrong.code, "arguments": wrong.arguments}}))
    else:
        text = out.text(f"frame.wrong.{wrong.code}", **wrong.arguments)
        print("\n".join(page.wrapped(text, out.width)))
    return 1


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
