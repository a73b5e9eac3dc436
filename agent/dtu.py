"""What a dial-in DTU sends on its own account, registration and heartbeat, and how it is told from answers. Pure.

A pattern is written as text (`QS-0007`) or, after `hex:`, as bytes (`hex: 7B 01 ?? 16`). `?` or `??` is any byte; `*`
at an end of a registration means that anything may stand there. What is neither is taken literally.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_HEX = re.compile(r"hex:\s*((?:[0-9A-Fa-f]{2}|\?\?|\*)(?:\s*(?:[0-9A-Fa-f]{2}|\?\?|\*))*)\s*")
_HEX_UNITS = re.compile(r"[0-9A-Fa-f]{2}|\?\?|\*")
_FILLING = b"[\\s\\0]*"  # some DTUs put line ends or zeros around what they were told to send
_WORD = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_NO_WORD = b"(?!(?<=[0-9A-Za-z])[0-9A-Za-z])"


class PatternError(ValueError):
    """A text that is no pattern: `code` names the sentence `form.CODE`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Pattern:
    """Consecutive bytes, None for any one. `is_open_before`, `is_open_after`: anything may stand at that end."""

    units: tuple[int | None, ...]
    is_open_before: bool = False
    is_open_after: bool = False

    @property
    def expression(self) -> bytes:
        """The bytes themselves as a regular expression."""
        return b"".join(b"." if unit is None else re.escape(bytes([unit])) for unit in self.units)

    def __str__(self) -> str:
        """As a person would write it."""
        known = bytes(0x3F if unit is None else unit for unit in self.units)
        text = known.decode("ascii", "replace")
        if not text.isascii() or not text.isprintable():
            text = "hex: " + " ".join("??" if unit is None else f"{unit:02X}" for unit in self.units)
        return f"{'*' * self.is_open_before}{text}{'*' * self.is_open_after}"

    @property
    def packet(self) -> bytes:
        """The bytes, of a pattern that gives all of them."""
        return bytes(unit for unit in self.units if unit is not None)

    def names(self, data: bytes) -> bool:
        """Whether a connection that began with `data` is of the DTU with this registration.

        What follows may not continue its last word: `QS-1` is not the beginning of `QS-17`.
        """
        return _naming(self).match(data) is not None

    def may_name_the_same(self, other: Pattern) -> bool:
        """Whether one packet can be both registrations, so that a line could get the other's meters."""
        return self._fits_into(other) or other._fits_into(self)

    def _fits_into(self, other: Pattern) -> bool:
        last = len(other.units) - len(self.units)
        if last < 0:
            return False
        places = range(last + 1) if self.is_open_before else range(1)
        return any(self._fits_at(place, other) for place in places)

    def _fits_at(self, place: int, other: Pattern) -> bool:
        there = other.units[place : place + len(self.units)]
        if any(None not in {one, two} and one != two for one, two in zip(self.units, there, strict=True)):
            return False
        following = other.units[place + len(self.units) : place + len(self.units) + 1]
        return self.is_open_after or not (self._ends_a_word and following and following[0] in _WORD)

    @property
    def _ends_a_word(self) -> bool:
        return self.units[-1] in _WORD


def pattern_of(text: str, *, is_open: bool = False, is_exact: bool = False) -> Pattern:
    """The pattern that `text` writes. `is_open`: `*` is allowed at the ends; `is_exact`: no `?` either.

    Raises PatternError: `pattern-hex`, `pattern-star`, `pattern-wild`, `pattern-any`.
    """
    units = _units(text)
    before, after = units[:1] == ["*"], units[1:] != [] and units[-1:] == ["*"]
    core = units[before : len(units) - after]
    if "*" in core or ((before or after) and not is_open):
        raise PatternError("pattern-star")
    found = tuple(each if isinstance(each, int) else None for each in core)
    if is_exact and None in found:
        raise PatternError("pattern-wild")
    if all(each is None for each in found):
        raise PatternError("pattern-any")
    return Pattern(found, before, after)


def _units(text: str) -> list[int | str]:
    """Bytes, `?` and `*` in their order."""
    if not text.startswith("hex:"):
        return [each for part in text for each in ([part] if part in "?*" else part.encode())]
    match = _HEX.fullmatch(text)
    if match is None:
        raise PatternError("pattern-hex")
    return [each[0] if each[0] in "?*" else int(each, 16) for each in _HEX_UNITS.findall(match[1])]


@lru_cache(maxsize=256)
def _naming(pattern: Pattern) -> re.Pattern[bytes]:
    lead = b".*?" if pattern.is_open_before else _FILLING
    follow = b"" if pattern.is_open_after else _NO_WORD
    return re.compile(lead + pattern.expression + follow, re.DOTALL)


class Strainer:
    """Takes a DTU's own packets out of what came from it. Several lines and threads may share one."""

    def __init__(self, *patterns: Pattern | None) -> None:
        given = [each for each in patterns if each is not None]
        self._own = sorted(given, key=lambda each: len(each.units), reverse=True)  # none is cut by a shorter one
        alternatives = b"|".join(b"(?:%b)" % each.expression for each in self._own)
        self._search = re.compile(alternatives, re.DOTALL) if self._own else None

    def strained(self, data: bytes) -> bytes:
        """`data` without every whole packet of the DTU's own."""
        return data if self._search is None else self._search.sub(b"", data)

    def is_beginning(self, data: bytes) -> bool:
        """Whether `data` may still become a packet of the DTU's own."""
        return any(
            len(data) < len(each.units)
            and all(unit in {None, byte} for unit, byte in zip(each.units, data, strict=False))
            for each in self._own
        )
