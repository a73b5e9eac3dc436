"""The YAML of a profile, as pydantic models: the agent's own keys; all other keys of an item are its protocol's."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from agent.form.fields import DurationMs, Kind, Name, Number, NumberKind, Section, Switch, Text, Whole, refusal, text_of
from agent.form.nodes import shown
from agent.form.problems import near
from agent.quantities import FLAGS, QUANTITIES

_HEXADECIMAL = re.compile(r"([0-9A-Fa-f]{2}\s*)+")
_CODE = re.compile(r"-?(0|[1-9][0-9]*)|0x[0-9A-Fa-f]+")
_MOST_BIT = 63
_MOST_DIGITS = 9


class _Quantity(Kind):
    word = "quantity"

    def read(self, value: object) -> str:
        text = text_of(value, "quantity", allowed=" ".join(QUANTITIES))
        if text not in QUANTITIES:
            raise refusal("quantity", value=shown(text), allowed=" ".join(QUANTITIES), **near(text, list(QUANTITIES)))
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(QUANTITIES)}


class _Flag(Kind):
    word = "flag"

    def read(self, value: object) -> str:
        text = text_of(value, "flag", allowed=" ".join(FLAGS))
        if text not in FLAGS:
            raise refusal("flag", value=shown(text), allowed=" ".join(FLAGS), **near(text, list(FLAGS)))
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(FLAGS)}


class _Bytes(Kind):
    word = "hex"

    def read(self, value: object) -> bytes:
        text = text_of(value, "hex")
        if not _HEXADECIMAL.fullmatch(text):
            raise refusal("hex", value=shown(text))
        return bytes.fromhex(text)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_HEXADECIMAL.pattern}$"}


class _Codes(Kind):
    """Raw code to factor: `{0: 1, 1: "0.001"}`."""

    word = "codes"

    def read(self, value: object) -> dict[int, Decimal]:
        if not isinstance(value, dict) or not value:
            raise refusal("codes", value=shown(value))
        number = NumberKind().read
        for code in value:
            if not _CODE.fullmatch(code):
                raise refusal("codes", value=shown(code))
        return {int(code, 0): number(factor) for code, factor in value.items()}

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": NumberKind().schema(), "minProperties": 1}


class _Expected(Kind):
    """What a quantity decodes to: a number, null (no value), or the list of flags that are set."""

    word = "expected"

    def read(self, value: object) -> str | tuple[str, ...] | None:
        if value is None:
            return None
        if isinstance(value, list):
            return tuple(_Flag().read(flag) for flag in value)
        return f"{NumberKind().read(value):f}"

    def schema(self) -> dict[str, Any]:
        flags = {"type": "array", "items": _Flag().schema()}
        return {"anyOf": [*NumberKind().schema()["anyOf"], {"type": "null"}, flags]}


class _Limit(Kind):
    """A number of registers, or a switch."""

    def read(self, value: object) -> int:
        if isinstance(value, int) and value >= 0:
            return value
        raise refusal("nothing") if value is None else refusal("limit", value=shown(value))

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "boolean"}]}


class _Range(Kind):
    """`[low, high]`; null leaves one side open."""

    word = "range"

    def read(self, value: object) -> tuple[Decimal | None, Decimal | None]:
        if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - low and high
            raise refusal("range", value=shown(value))
        low, high = (None if limit is None else NumberKind().read(limit) for limit in value)
        return low, high

    def schema(self) -> dict[str, Any]:
        limit = {"anyOf": [*NumberKind().schema()["anyOf"], {"type": "null"}]}
        return {"type": "array", "items": limit, "minItems": 2, "maxItems": 2}


Quantity = Annotated[str, _Quantity()]
Flag = Annotated[str, _Flag()]
Bytes = Annotated[bytes, _Bytes()]
Codes = Annotated[dict[int, Decimal], _Codes()]
Expected = Annotated[str | tuple[str, ...] | None, _Expected()]
Range = Annotated[tuple[Decimal | None, Decimal | None], _Range()]
Parity = Literal["none", "even", "odd"]
Origin = Literal["captured", "constructed"]


class TitleForm(Section):
    """A sentence in both languages."""

    locale_name: ClassVar[str] = "profile-title"
    zh: Text
    en: Text


class UnconfirmedForm(TitleForm):
    """What must be compared with the display, and which quantities hang on it."""

    locale_name: ClassVar[str] = "profile-unconfirmed"
    quantities: list[Quantity] = Field(default_factory=list)


class SerialForm(Section):
    """How the maker ships the meter's serial port."""

    locale_name: ClassVar[str] = "profile-line"
    baud: Whole = Field(default=9600, ge=300, le=921600)
    parity: Parity = "none"
    stop_bits: Literal[1, 2] = 1
    silence: Annotated[int, DurationMs("0ms", "10s")] = 0


class SpecForm(Section):
    """Something that is read from the meter: keys that are not ours belong to the protocol."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    def spec(self) -> dict[str, Any]:
        """The protocol's keys."""
        return dict(self.model_extra or {})


class PartForm(SpecForm):
    """One summand."""

    locale_name: ClassVar[str] = "profile-part"
    scale: Number = Decimal(1)


class FactorForm(SpecForm):
    """One live factor."""

    locale_name: ClassVar[str] = "profile-factor"
    codes: Codes | None = None
    power_of_ten: Switch = False


class FlagForm(SpecForm):
    """One status flag."""

    locale_name: ClassVar[str] = "profile-flag"
    flag: Flag
    bit: Whole | None = Field(default=None, ge=0, le=_MOST_BIT)
    equals: Whole | None = None
    not_equals: Whole | None = None


class ItemForm(SpecForm):
    """One quantity and how it is made."""

    locale_name: ClassVar[str] = "profile-item"
    quantity: Quantity
    scale: Number = Decimal(1)
    offset: Number = Decimal(0)
    range: Range | None = None
    digits: Whole = Field(default=0, ge=0, le=_MOST_DIGITS)
    sum: list[PartForm] = Field(default_factory=list)
    times: list[FactorForm] = Field(default_factory=list)
    flags: list[FlagForm] = Field(default_factory=list)


class MarkForm(SpecForm):
    """One read that gives the model away."""

    locale_name: ClassVar[str] = "profile-mark"
    among: list[Whole] = Field(default_factory=list)
    range: Range | None = None
    own_address: Switch = False


class ExchangeForm(Section):
    """A request and its reply, in hexadecimal; `origin` where it differs from the test's."""

    locale_name: ClassVar[str] = "profile-exchange"
    request: Bytes
    reply: Bytes
    origin: Origin | None = None


class TestForm(Section):
    """Frames and what they decode to."""

    __test__: ClassVar[bool] = False  # a form, whatever pytest thinks of its name
    locale_name: ClassVar[str] = "profile-test"
    request: Bytes | None = None
    reply: Bytes | None = None
    exchanges: list[ExchangeForm] = Field(default_factory=list)
    expect: dict[str, Expected] = Field(min_length=1)
    origin: Origin
    note: Text = ""


class ProfileForm(Section):
    """A model of meter."""

    locale_name: ClassVar[str] = "profile"
    profile: Name
    title: TitleForm
    source: Text
    tested: Literal["document", "simulator", "hardware"] = "document"
    unconfirmed: UnconfirmedForm | None = None
    protocol: Text
    line: SerialForm = SerialForm()
    limits: dict[str, Annotated[int, _Limit()]] = Field(default_factory=dict)
    items: list[ItemForm] = Field(min_length=1)
    identify: list[MarkForm] = Field(default_factory=list)
    tests: list[TestForm] = Field(default_factory=list)
