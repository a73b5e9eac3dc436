"""The inputs of a case by name and type, and the register of kinds."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

from agent.derive import physics
from agent.derive.exact import MS_PER_HOUR, ONE, ZERO, instant_ms, not_negative, positive
from agent.derive.models import Fixed, Sensed, Slice

REQUIRED = object()
MS_PER_DAY = 24 * MS_PER_HOUR
MIDNIGHT_AT_THE_END = re.compile(r"^(.{8,10}[T ])24(:?00(?::?00)?(?:[.,]0+)?(?:Z|[+-][\d:]+)?)$")


class BadCase(Exception):
    """The case asks for something that is not defined."""


class Inputs:
    """The inputs of a case, by name and type. Whatever is missing or of another type is named.

    `within` names the input that holds these, where they are a part of one.
    """

    def __init__(self, values, within=""):
        if not isinstance(values, dict):
            raise BadCase(f"{within or 'inputs'}: not an object")
        self._values, self._within = values, within

    def path(self, name):
        return f"{self._within}.{name}" if self._within else name

    def raw(self, name, default=REQUIRED):
        if name in self._values:
            return self._values[name]
        if default is REQUIRED:
            raise BadCase(f"{self.path(name)}: missing")
        return default

    def num(self, name, default=REQUIRED):
        value = self.raw(name, default)
        return value if value is None and default is None else number(self.path(name), value)

    def least0(self, name, default=REQUIRED):
        return not_negative(self.path(name), self.num(name, default))

    def above0(self, name, default=REQUIRED):
        return positive(self.path(name), self.num(name, default))

    def share(self, name):
        """An efficiency, above 0 and at most 1."""
        return physics.efficiency(self.path(name), self.num(name))

    def whole(self, name, default=REQUIRED):
        return whole(self.path(name), self.num(name, default))

    def wholes(self, name):
        return [whole(name, value) for value in self.nums(name)]

    def count(self, name, default=REQUIRED, *, least=0):
        value = self.whole(name, default)
        if value < least:
            raise BadCase(f"{self.path(name)}: {value} is below {least}")
        return value

    def truth(self, name, default):
        value = self.raw(name, default)
        if not isinstance(value, bool):
            raise BadCase(f"{self.path(name)}: {value!r} is not true or false")
        return value

    def text(self, name):
        value = self.raw(name)
        if not isinstance(value, str):
            raise BadCase(f"{self.path(name)}: {value!r} is not a text")
        return value

    def items(self, name, width=None):
        value = self.raw(name)
        if not isinstance(value, list):
            raise BadCase(f"{name}: not a list")
        if width is not None and any(not isinstance(item, list) or len(item) != width for item in value):
            raise BadCase(f"{name}: not a list of {width} values each")
        return value

    def nums(self, name):
        return [number(name, value) for value in self.items(name)]

    def rows(self, name, width):
        return [tuple(number(name, value) for value in row) for row in self.items(name, width)]

    def readings(self, name):
        return sorted((moment(name, at), number(name, value)) for at, value in self.items(name, 2))

    def time(self, name, default=REQUIRED):
        value = self.raw(name, default)
        return None if value is None else moment(self.path(name), value)

    def day(self, name):
        return day(name, self.raw(name))

    def inner(self, name):
        return Inputs(self.raw(name), name)

    def inners(self, name):
        return [Inputs(item, f"{name}[{index}]") for index, item in enumerate(self.items(name))]


def number(name, value):
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BadCase(f"{name}: {value!r} is not a number")
    value = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not value.is_finite():
        raise BadCase(f"{name}: {value} is not a number")
    return value


def whole(name, value):
    if value != value.to_integral_value():
        raise BadCase(f"{name}: {value} is not a whole number")
    return int(value)


def moment(name, text):
    """UTC ms of an ISO 8601 time; the end of a day may be written 24:00."""
    try:
        begun = MIDNIGHT_AT_THE_END.sub(r"\g<1>00\g<2>", text)
        return instant_ms(datetime.fromisoformat(begun)) + (begun != text) * MS_PER_DAY
    except (TypeError, ValueError) as error:
        raise BadCase(f"{name}: {text!r} is not a time with its offset") from error


def day(name, text):
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise BadCase(f"{name}: {text!r} is not a day") from error


KINDS: dict[str, Callable[[Inputs], dict]] = {}


def kind(function):
    KINDS[function.__name__] = function
    return function


def tc_volume(tc, used):
    whole = Slice(used, ONE, date.min, ZERO, Sensed())
    return Fixed(tc=tc).convert(whole).volume_m3
