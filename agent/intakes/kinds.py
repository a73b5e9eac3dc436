"""The kinds of values that an intake's section has: codes, channels, transformer ratios, seasons, rules."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from agent.derive.energy import ratio
from agent.derive.exact import ONE
from agent.form.fields import Amount, Kind, NumberKind, Whole, refusal
from agent.form.fields import text_of as text_in
from agent.form.nodes import is_name, shown
from agent.form.problems import near
from agent.intakes.settings import Channel
from agent.quantities import QUANTITIES, STATUS
from agent.rules.names import RULES

_COEFFICIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_RATIO = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/([0-9]{1,9}(?:\.[0-9]{1,6})?)")
_MONTH_DAY = re.compile(r"([0-9]{2})-([0-9]{2})")
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

Volume = Annotated[Decimal, Amount("0", "100000000000")]
Flow = Annotated[Decimal, Amount("0", "1000000")]
Power = Annotated[Decimal, Amount("0", "100000")]
Length = Annotated[Decimal, Amount("0", "1000000")]
Step = Annotated[Decimal, Amount("0.000001", "1000000")]
Percent = Annotated[Decimal, Amount("0", "50")]
Digits = Annotated[Whole, Field(ge=1, le=15)]


class _Code(Kind):
    """What permits and platforms call the intake."""

    word = "code"

    def read(self, value: object) -> str:
        text = text_in(value, "quote")
        if not re.fullmatch(r"[A-Za-z0-9._/-]{1,40}", text):
            raise refusal("intake-code", value=shown(text))
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[A-Za-z0-9._/-]{1,40}$"}


class _ChannelKind(Kind):
    """`METER/QUANTITY`."""

    word = "channel"

    def read(self, value: object) -> Channel:
        meter, slash, quantity = text_in(value, "meter-channel").partition("/")
        if not slash or not is_name(meter):
            raise refusal("meter-channel", value=shown(value))
        known = [name for name in QUANTITIES if name != STATUS]
        if quantity not in known:
            raise refusal("quantity", value=shown(quantity), allowed=" ".join(known), **near(quantity, known))
        return Channel(meter=meter, quantity=quantity)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[a-z0-9-]{1,32}/[a-z_]+$"}


class _HeadsKind(Kind):
    """`[lowest, highest]`, above 0, in m."""

    word = "heads"

    def read(self, value: object) -> tuple[Decimal, Decimal]:
        if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - lowest and highest
            raise refusal("heads", value=shown(value))
        low, high = (NumberKind().read(limit) for limit in value)
        if not 0 < low <= high:
            raise refusal("heads", value=shown(value))
        return low, high

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": NumberKind().schema(), "minItems": 2, "maxItems": 2}


class _Ratio(Kind):
    """The ratio of a transformer as it is printed on it, `100/5`, or the number that comes out."""

    word = "ratio"

    def read(self, value: object) -> Decimal:
        if isinstance(value, str) and (match := _RATIO.fullmatch(value)) is not None:
            first, second = Decimal(match[1]), Decimal(match[2])
            if first >= second > 0:
                return ratio("transformer", first, second)
        try:
            amount = NumberKind().read(value)
        except ValueError as error:
            raise refusal("ratio", value=shown(value)) from error
        if not ONE <= amount <= Decimal(100_000):
            raise refusal("ratio", value=shown(value))
        return amount

    def schema(self) -> dict[str, Any]:
        pattern = r"^[0-9]{1,9}(\.[0-9]{1,6})?(/[0-9]{1,9}(\.[0-9]{1,6})?)?$"
        return {"anyOf": [{"type": "number", "minimum": 1}, {"type": "string", "pattern": pattern}]}


class _RatioText(_Ratio):
    """The same, kept as it is printed."""

    def read(self, value: object) -> Any:
        super().read(value)
        return shown(value)


def ratio_of(text: str) -> Decimal:
    """The number that `100/5`, or a number's text, stands for; it must have been judged."""
    return _Ratio().read(text)


class _Coefficients(Kind):
    """The id of a coefficient, or several: the first that can be used counts."""

    word = "coefficients"

    def read(self, value: object) -> tuple[str, ...]:
        given = value if isinstance(value, list) else [value]
        if not given:
            raise refusal("too-few", value="[]", limit="1")
        ids = tuple(text_in(each, "coefficient-id") for each in given)
        for each in ids:
            if not _COEFFICIENT.fullmatch(each):
                raise refusal("coefficient-id", value=shown(each))
            if ids.count(each) > 1:
                raise refusal("named-twice", value=each)
        return ids

    def schema(self) -> dict[str, Any]:
        one = {"type": "string", "pattern": f"^{_COEFFICIENT.pattern}$"}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}]}


class _Season(Kind):
    """First and last day of the irrigation season, `[04-01, 10-31]`; it may reach over the new year."""

    word = "season"

    def read(self, value: object) -> tuple[tuple[int, int], tuple[int, int]]:
        if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - first and last day
            raise refusal("season", value=shown(value))
        first, last = (_month_day(each) for each in value)
        return first, last

    def schema(self) -> dict[str, Any]:
        day = {"type": "string", "pattern": f"^{_MONTH_DAY.pattern}$"}
        return {"type": "array", "items": day, "minItems": 2, "maxItems": 2}


def _month_day(value: object) -> tuple[int, int]:
    match = _MONTH_DAY.fullmatch(text_in(value, "season"))
    month, day = (int(match[1]), int(match[2])) if match is not None else (0, 0)
    if not (1 <= month <= len(_MONTH_DAYS) and 1 <= day <= _MONTH_DAYS[month - 1]):
        raise refusal("season", value=shown(value))
    return month, day


class _Rule(Kind):
    word = "rule"

    def read(self, value: object) -> str:
        text = text_in(value, "rule", allowed=" ".join(RULES))
        if text not in RULES:
            raise refusal("rule", value=shown(text), allowed=" ".join(RULES), **near(text, RULES))
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(RULES)}


Code = Annotated[str, _Code()]
ChannelText = Annotated[Channel, _ChannelKind()]
Heads = Annotated[tuple[Decimal, Decimal], _HeadsKind()]
Ratio = Annotated[Decimal, _Ratio()]
RatioText = Annotated[str, _RatioText()]
Coefficients = Annotated[tuple[str, ...], _Coefficients()]
Season = Annotated[tuple[tuple[int, int], tuple[int, int]], _Season()]
RuleName = Annotated[str, _Rule()]
