"""What a simulated SL 651 centre can ask and order: words in, function and body out. Pure.

`37` · `38 from=26010100 to=26010123 step=1h id=28` · `3A id=28,FF2B` · `40 0C=02` (bytes) · `41 id=01,0C` ·
`42 20=1` (numbers) · `43 id=20,21` · `49 old=1234 new=5678` · `4A at=260101080000` · `4C data=0101`

Source: SL 651-2014 6.6.4.10-6.6.4.30, annexes B and D; bodies of 4B-4F as the sheet's §10 has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final

from agent.uplinks.sl651_wire.codes import Control, Encoding, Function
from agent.uplinks.sl651_wire.elements import KINDS, Element, default_definition, definition, number, status
from agent.uplinks.sl651_wire.frame import Frame
from agent.uplinks.sl651_wire.link import Link
from agent.uplinks.sl651_wire.parameters import BASIC_SIZES, PASSWORD, basic_parameter, run_parameter, wanted
from agent.uplinks.sl651_wire.parts import SECOND, Part, Period, Raw, Step, Wanted, digits_of, moment_of
from simulators.platforms.centre.contract import Moment
from simulators.platforms.centre.refusals import OrderError

Arguments = Mapping[str, str]
ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {"query": "37", "set-clock": "4A", "clock": "51", "version": "45", "status": "46", "events": "50"}
)
_FORM = re.compile(r"([1-9]\d?)(?:\.([0-7]))?")  # digits to 62, decimals to 7: what a data definition can say
_STEP = re.compile(r"(\d{1,2})([dhm])")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_EXTENDED = b"\xff"
_CARD_ACTIVE = 9  # bit of the status word
_HOUR_DIGITS, _SECOND_DIGITS, _PASSWORD_BYTES, _MOST_BYTES = 8, 12, 2, 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Downlink:
    """An order; `sent` is the send time it must have (4A), None the centre's own clock."""

    name: str
    function: int
    parts: tuple[Part, ...] = ()
    sent: str | None = None

    def frame(self, link: Link, now: Moment) -> Frame:
        """The frame to a station: serial number 0, ENQ. Raises OrderError where this encoding has no form for it."""
        sent = self.sent or digits_of(now.at, SECOND, now.zone)
        try:
            return link.command(self.function, sent=sent, parts=self.parts)
        except (ValueError, KeyError) as error:
            raise OrderError("encoding", order=self.name, encoding=link.encoding.value) from error


def downlink_of(words: list[str]) -> Downlink:
    """The order that the words say: a function code or one of ALIASES, then KEY=VALUE. Raises OrderError."""
    first = ALIASES.get(words[0].lower(), words[0])
    try:
        function = int(first, 16)
    except ValueError:
        function = -1
    make = _MAKERS.get(function)
    if make is None:
        known = " ".join(f"{each:02X}" for each in _MAKERS)
        raise OrderError("function", value=words[0], known=known, names=" ".join(ALIASES))
    arguments = dict(_argument(word) for word in words[1:])
    sent = arguments.pop("at", None) if function == Function.SET_CLOCK else None
    if sent is not None and (len(sent) != _SECOND_DIGITS or moment_of(sent) is None):
        raise OrderError("moment", value=sent)
    try:
        parts = make(arguments)
    except (ValueError, KeyError) as error:
        raise OrderError("unfit-number", order=" ".join(words), most=_MOST_BYTES) from error
    return Downlink(name=" ".join([f"{function:02X}", *words[1:]]), function=function, parts=parts, sent=sent)


def _argument(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise OrderError("pair", value=word, example="3A id=28")
    return key, value


def _nothing(arguments: Arguments) -> tuple[Part, ...]:
    if arguments:
        raise OrderError("no-keys", value=" ".join(arguments))
    return ()


def _named(arguments: Arguments, *names: str) -> list[str]:
    """The values of `names`, all of which must be there, and nothing else."""
    if set(arguments) != set(names):
        raise OrderError("keys", value=" ".join(arguments), expected=" ".join(f"{name}=…" for name in names))
    return [arguments[name] for name in names]


def _identifier(text: str) -> bytes:
    found = next((guide for guide, kind in KINDS.items() if kind.name == text), None)
    return _guide(text, "element") if found is None else found


def _guide(text: str, refusal: str = "guide") -> bytes:
    """One byte, or FF and another."""
    found = _bytes(text, refusal)
    if len(found) > 1 + (found[:1] == _EXTENDED):
        raise OrderError(refusal, value=text)
    return found


def _bytes(text: str, refusal: str = "hex") -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if not found:
        raise OrderError(refusal, value=text)
    return found


def _number(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise OrderError("digits", value=text)
    return found


def _element(text: str) -> Wanted:
    """An identifier, or the name of an element, with the data definition of table C.1, or the one behind a slash."""
    name, _, defined = text.partition("/")
    identifier = _identifier(name)
    if defined:
        form = _bytes(defined, "definition")
        if len(form) != 1:
            raise OrderError("definition", value=defined)
        return Wanted(identifier, form[0])
    return Wanted(identifier, default_definition(identifier) if identifier in KINDS else definition(6, 0))


def _elements(arguments: Arguments) -> tuple[Part, ...]:
    (identifiers,) = _named(arguments, "id")
    return tuple(_element(each) for each in identifiers.split(","))


def _period(arguments: Arguments) -> tuple[Part, ...]:
    first, last, step, identifier = _named(arguments, "from", "to", "step", "id")
    for digits in (first, last):
        if len(digits) != _HOUR_DIGITS or moment_of(digits) is None:
            raise OrderError("hour", value=digits)
    match = _STEP.fullmatch(step)
    try:
        made = None if match is None else Step.of(int(match[1]) * _UNITS[match[2]])
    except ValueError:
        made = None
    if made is None:
        raise OrderError("step", value=step)
    return Period(first, last), made, _element(identifier)


def _reading(*, is_basic: bool) -> Callable[[Arguments], tuple[Part, ...]]:
    def made(arguments: Arguments) -> tuple[Part, ...]:
        (identifiers,) = _named(arguments, "id")
        return tuple(wanted(_guide(each), is_basic=is_basic) for each in identifiers.split(","))

    return made


def _basic(arguments: Arguments) -> tuple[Part, ...]:
    if not arguments:
        raise OrderError("no-basic")
    return tuple(_basic_parameter(_guide(key), _bytes(value)) for key, value in arguments.items())


def _basic_parameter(identifier: bytes, data: bytes) -> Element:
    size = BASIC_SIZES.get(identifier, min(len(data), _MOST_BYTES))
    if len(data) != size:
        raise OrderError("size", name=identifier.hex().upper(), value=data.hex().upper(), size=len(data), limit=size)
    return basic_parameter(identifier, data)


def _run(arguments: Arguments) -> tuple[Part, ...]:
    if not arguments:
        raise OrderError("no-run")
    return tuple(_parameter(_guide(key), value) for key, value in arguments.items())


def _parameter(identifier: bytes, value: str) -> Element:
    """A run parameter in its form, or in the one behind a slash: `42=0.5/6.3`, digits and decimals."""
    text, _, form = value.partition("/")
    if not form:
        try:
            return run_parameter(identifier, _number(text))
        except KeyError:
            raise OrderError("no-form", name=identifier.hex().upper(), value=text) from None
    match = _FORM.fullmatch(form)
    if match is None:
        raise OrderError("form", value=form)
    return number(identifier, _number(text), digits=int(match[1]), decimals=int(match[2] or 0))


def _password(arguments: Arguments) -> tuple[Part, ...]:
    texts = _named(arguments, "old", "new")
    if any(len(_bytes(text)) != _PASSWORD_BYTES for text in texts):
        raise OrderError("password", value=" ".join(texts))
    return tuple(basic_parameter(PASSWORD, _bytes(text)) for text in texts)


def _fixed(identifier: str) -> Callable[[Arguments], tuple[Part, ...]]:
    def made(arguments: Arguments) -> tuple[Part, ...]:
        _nothing(arguments)
        return (Wanted(bytes.fromhex(identifier), 0),)

    return made


def _card(arguments: Arguments) -> tuple[Part, ...]:
    _nothing(arguments)
    return (status({_CARD_ACTIVE}),)


def _raw(default: str) -> Callable[[Arguments], tuple[Part, ...]]:
    def made(arguments: Arguments) -> tuple[Part, ...]:
        return (Raw(_bytes(_named(arguments, "data")[0] if arguments else default)),)

    return made


_MAKERS: Mapping[int, Callable[[Arguments], tuple[Part, ...]]] = MappingProxyType(
    {
        Function.PICTURE: _nothing,
        Function.QUERY_REALTIME: _nothing,
        Function.QUERY_PERIOD: _period,
        Function.QUERY_MANUAL: _nothing,
        Function.QUERY_ELEMENTS: _elements,
        Function.SET_BASIC: _basic,
        Function.READ_BASIC: _reading(is_basic=True),
        Function.SET_RUN: _run,
        Function.READ_RUN: _reading(is_basic=False),
        Function.QUERY_PUMP: _nothing,
        Function.QUERY_VERSION: _nothing,
        Function.QUERY_STATUS: _nothing,
        Function.CLEAR_STORAGE: _fixed("97"),
        Function.FACTORY_RESET: _fixed("98"),
        Function.CHANGE_PASSWORD: _password,
        Function.SET_CLOCK: _nothing,
        Function.SET_CARD: _card,
        Function.CONTROL_PUMP: _raw("0101"),
        Function.CONTROL_VALVE: _raw("0101"),
        Function.CONTROL_GATE: _raw("01010050"),
        Function.CONTROL_QUOTA: _raw("FF"),
        Function.QUERY_EVENTS: _nothing,
        Function.QUERY_CLOCK: _nothing,
    }
)


def link_of(frame: Frame) -> Link:
    """How to address the station that sent `frame`: its own centre, address, password and encoding (sheet §21.1)."""
    return Link(centre=frame.centre, station=frame.station, password=frame.password, encoding=Encoding(frame.encoding))


ENDS: Final[Mapping[str, Control]] = MappingProxyType(
    {each.name: each for each in (Control.EOT, Control.ESC, Control.ACK)}
)
