"""What can go wrong with a meter, as data: each kind, when it strikes, and what it then does to the answer.

Three stages: the moment of the answer (`delay_s`), the registers it is made from (`altered`), the frame itself
(`garbled`). Chance is seeded: the same settings misbehave in the same way again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from agent.form.fields import DurationMs, Number, Section, Text, Whole, refusal
from agent.quantities import QUANTITIES, STATUS
from drivers.contract import NoValue
from simulators.meters import registers
from simulators.meters.envelope import Envelope
from simulators.meters.image import MeterImage, Snapshot

Kind = Literal[
    "dead", "slow", "late", "refuse_merged", "stuck", "jump", "rollover", "nan", "all_ones", "not_bcd", "exception",
    "wrong_function", "wrong_count", "wrong_address", "wrong_crc", "glued", "cut", "noise",
]  # fmt: skip  # in the order in which those that strike together act
_ORDER: Mapping[str, int] = {kind: place for place, kind in enumerate(get_args(Kind))}

OPTIONS = {  # what may be said about a kind beside when it strikes
    "slow": {"factor"},
    "late": {"delay"},
    "jump": {"quantity", "by"},
    "rollover": {"quantity", "at"},
    "nan": {"quantity"},
    "all_ones": {"quantity"},
    "not_bcd": {"quantity"},
    "exception": {"code"},
    "wrong_count": {"registers"},
    "wrong_address": {"address"},
    "cut": {"bytes"},
    "noise": {"leading", "trailing"},
}
_WHEN = {"kind", "probability", "period", "seed"}
_SPOILERS = {"nan": NoValue.NOT_A_NUMBER, "all_ones": NoValue.NOT_AVAILABLE, "not_bcd": NoValue.NOT_BCD}


class Mischief(Section):
    """One thing a meter does wrong: always, or with a `probability`, or at every `period`-th request."""

    kind: Kind = Field(description="what goes wrong")
    probability: Annotated[Number, Field(ge=0, le=1)] = Field(Decimal(1), description="share of requests, 0 to 1")
    period: Annotated[Whole, Field(ge=1)] = Field(1, description="every how manieth request of this meter")
    seed: Whole = Field(0, description="another seed, another sequence of chances")
    factor: Annotated[Number, Field(gt=0)] = Field(Decimal(10), description="slow: multiplies the turnaround")
    delay: Annotated[int, DurationMs("1ms", "60s")] = Field(1200, description="late: added to the turnaround")
    quantity: Text | None = Field(None, description="the quantity concerned; default all that can be")
    by: Number = Field(Decimal(100_000), description="jump: added to the value")
    at: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="rollover: begins again at 0 there; default the highest power of ten not above the value"
    )
    code: Annotated[Whole, Field(ge=1, le=255)] = Field(4, description="exception: its code")
    registers: Annotated[Whole, Field(ge=-125, le=125)] = Field(-1, description="wrong_count: so many more (or fewer)")
    address: Annotated[Whole, Field(ge=0, le=255)] | None = Field(
        None, description="wrong_address: default the next one"
    )
    bytes: Annotated[Whole, Field(ge=0)] | None = Field(None, description="cut: bytes left; default half")
    leading: Annotated[Whole, Field(ge=0, le=64)] = Field(3, description="noise: bytes before the frame")
    trailing: Annotated[Whole, Field(ge=0, le=64)] = Field(0, description="noise: bytes after the frame")

    @model_validator(mode="after")
    def _only_its_options(self) -> Self:
        allowed = OPTIONS.get(self.kind, set())
        for name in sorted(self.model_fields_set - _WHEN - allowed):
            raise refusal("mischief-option", key=name, kind=self.kind, allowed=" ".join(sorted(allowed)) or "-")
        if self.quantity is not None and self.quantity not in QUANTITIES:
            raise refusal("mischief-quantity", value=self.quantity)
        return self


class CannotMisbehaveError(ValueError):
    """A meter has nothing that can go wrong so: `code` names the sentence `form.CODE`, `arguments` fill it."""

    def __init__(self, code: str, **arguments: str) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


class Trouble:
    """All the mischief of one meter, and the state that it needs from request to request. One line's thread draws."""

    def __init__(self, mischief: Sequence[Mischief | Mapping[str, Any]], image: MeterImage) -> None:
        """Raises CannotMisbehaveError for what this meter cannot do wrong, ValidationError for a wrong mapping."""
        parsed = [one if isinstance(one, Mischief) else Mischief.model_validate(one) for one in mischief]
        self._all = tuple(sorted(parsed, key=lambda one: _ORDER[one.kind]))
        self._chances = [Random(one.seed) for one in self._all]
        self._image = image
        self._frozen = image.snapshot  # what a stuck meter goes on showing
        self._requests = 0
        for one in self._all:
            if one.kind in _SPOILERS or one.kind in {"jump", "rollover"}:
                self._quantities(one)

    @property
    def mischief(self) -> tuple[Mischief, ...]:
        """What was asked for."""
        return self._all

    def draw(self) -> tuple[Mischief, ...]:
        """What strikes the request that has come now."""
        self._requests += 1
        return tuple(
            one
            for one, chance in zip(self._all, self._chances, strict=True)
            if self._requests % one.period == 0 and chance.random() < one.probability
        )

    def altered(self, strikes: Sequence[Mischief]) -> Snapshot:
        """The registers that the answer is made from."""
        snapshot = self._image.snapshot
        for one in strikes:
            match one.kind:
                case "stuck":
                    snapshot = self._frozen
                case "jump" | "rollover":
                    values = {name: _moved(one, snapshot.values[name]) for name in self._quantities(one)}
                    snapshot = self._image.altered(snapshot, {name: v for name, v in values.items() if v is not None})
                case "nan" | "all_ones" | "not_bcd":
                    snapshot = self._spoiled(one, snapshot)
                case "refuse_merged":
                    snapshot = snapshot.with_memory(registers.without_gaps(snapshot.memory))
                case _:
                    continue
        return snapshot

    def _quantities(self, one: Mischief) -> list[str]:
        """The quantities that `one` can concern. Raises CannotMisbehaveError when there is none."""
        found = [
            name
            for name in ([one.quantity] if one.quantity else self._image.entries)
            if name in self._image.entries and self._can(one, name)
        ]
        if not found:
            raise CannotMisbehaveError("sim-mischief", kind=one.kind)
        return found

    def _can(self, one: Mischief, name: str) -> bool:
        if one.kind in _SPOILERS:
            return bool(self._bad_bytes(one, name))
        return name != STATUS and (one.quantity is not None or QUANTITIES[name].counter)

    def _bad_bytes(self, one: Mischief, name: str) -> dict[Any, bytes]:
        entry = self._image.entries[name]
        items: list[Any] = [use.item for use in (entry.flags or entry.parts)]
        spoilt = {item: item.spoilt(_SPOILERS[one.kind]) for item in items}
        return {item: data for item, data in spoilt.items() if data is not None}

    def _spoiled(self, one: Mischief, snapshot: Snapshot) -> Snapshot:
        names = self._quantities(one)
        data = {item: wire for name in names for item, wire in self._bad_bytes(one, name).items()}
        return snapshot.with_memory(registers.overwritten(snapshot.memory, data.items()), without=names)


def _moved(one: Mischief, value: object) -> Decimal | None:
    if not isinstance(value, Decimal):
        return None
    if one.kind == "jump":
        return value + one.by
    return value % (one.at or Decimal(1).scaleb(max(0, value.adjusted())))


def delay_s(turnaround_s: float, strikes: Sequence[Mischief]) -> float | None:
    """Seconds from the end of the request to the answer; None when there will be none."""
    for one in strikes:
        match one.kind:
            case "dead":
                return None
            case "slow":
                turnaround_s *= float(one.factor)
            case "late":
                turnaround_s += one.delay / 1000
            case _:
                continue
    return turnaround_s


def garbled(frame: bytes, envelope: Envelope, strikes: Sequence[Mischief]) -> bytes:
    """The bytes that go on the wire instead of `frame`."""
    for one in strikes:
        match one.kind:
            case "exception":
                frame = envelope.refused(frame, one.code)
            case "wrong_function":
                frame = envelope.other_function(frame)
            case "wrong_count":
                frame = envelope.other_count(frame, one.registers)
            case "wrong_address":
                frame = envelope.other_address(frame, one.address)
            case "wrong_crc":
                frame = envelope.spoilt(frame)
            case "glued":
                frame += frame
            case "cut":
                frame = frame[: len(frame) // 2 if one.bytes is None else one.bytes]
            case "noise":
                chance = Random(f"{one.seed} {frame.hex()}")
                frame = chance.randbytes(one.leading) + frame + chance.randbytes(one.trailing)
            case _:
                continue
    return frame
