"""A stored round taken apart anew: its frames, the bytes of each quantity, what the profile makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agent.decode import Raws, bundles, multiplier, values
from agent.entries import Entry
from agent.model import Reason, StoredRound
from agent.probe.image import image_of
from agent.profiles import Library
from agent.replay import UNCOVERED, value_text
from agent.settings import Profile
from drivers.contract import Driver, Item, NoValue, RawValue, WireError
from drivers.octets import crc16, has_sound_crc

_MODBUS = "modbus"
_MBAP = 6  # bytes before the unit in a Modbus TCP frame
_COUNT_AT = 2  # behind unit and function, in a reply as serial lines have it
_FRAME_SIZE = 5  # bytes of a reply beside its data: unit, function, count, two of CRC


class Decoding:
    """Takes rounds apart with the profiles of a library."""

    def __init__(self, library: Library, drivers: Mapping[str, Callable[..., Driver]]) -> None:
        self._library = library
        self._drivers = drivers

    def told(self, stored: StoredRound, raw: Sequence[bytes], quantity: str | None) -> dict[str, Any]:
        """The frames of a round, and for each quantity (or the one asked for) the bytes and the steps to its value.

        `profile_known` is false where the profile of that version is not at hand: then the frames stand alone.
        """
        layout = stored.layout
        frames = list(zip(layout.requests, raw, strict=False))
        node: dict[str, Any] = {
            "profile": layout.profile,
            "profile_version": layout.version,
            "protocol": layout.protocol,
            "address": layout.address,
            "exchanges": [{"request": request.hex(), "reply": reply.hex()} for request, reply in frames],
        }
        profile = self._profile(layout.profile, layout.version)
        if profile is None:
            return {**node, "profile_known": False}
        wanted = [each for each in profile.entries if each.quantity in layout.quantities]
        found = [self._steps(each, profile, frames) for each in wanted if quantity in (None, each.quantity)]
        return {**node, "profile_known": True, "decoded": found}

    def _profile(self, name: str, version: str) -> Profile | None:
        if name not in self._library.names():
            return None
        profile = self._library.load(name)
        return profile if profile.version == version else None

    def _steps(self, entry: Entry, profile: Profile, frames: Sequence[tuple[bytes, bytes]]) -> dict[str, Any]:
        """How the bytes become a quantity."""
        serial = _serial if profile.protocol == _MODBUS else _unchanged
        image = _image([serial(*each) for each in frames if each[1]], self._drivers[profile.protocol]())
        raws: dict[Any, RawValue | Reason] = {}
        told = []
        for item in dict.fromkeys(item for bundle in bundles([entry]) for item in bundle):
            data = item.taken(image)
            raws[item] = Reason.NO_REPLY if data is None else item.decode(data)
            shown = "" if data is None else data.hex()
            role = _role(entry, item, raws)
            told.append({"item": _item_text(item), "bytes": shown, "raw": shown and _raw(raws[item]), **role})
        (value,), quality = values([entry], raws)
        is_there = all(each["bytes"] for each in told)
        reasons = list(quality.get(entry.quantity, ())) if is_there else [UNCOVERED]
        return {
            "quantity": entry.quantity,
            "items": told,
            "scale": str(entry.scale),
            "offset": str(entry.offset),
            "value": value_text(value),
            "reasons": reasons,
        }


def _image(exchanges: Sequence[tuple[bytes, bytes]], driver: Driver) -> dict[str, Any]:
    """What the frames prove of the meter's memory; frames that are not sound prove nothing."""
    image: dict[str, Any] = {}
    for exchange in exchanges:
        try:
            more = image_of([exchange], driver)
        except WireError:
            continue
        for table, content in more.items():
            if isinstance(content, Mapping):
                image.setdefault(table, {}).update(content)
            else:
                image[table] = content
    return image


def _unchanged(request: bytes, reply: bytes) -> tuple[bytes, bytes]:
    return request, reply


def _serial(request: bytes, reply: bytes) -> tuple[bytes, bytes]:
    """A stored Modbus exchange as a serial line has it, without what stood around the reply.

    Only TCP requests begin with 0: they are stored with transaction number 0, and nobody asks unit 0 on a serial line.
    """
    if request[:1] != b"\0":
        return request, _sound(request, reply)
    frames = []
    while len(reply) > _MBAP:
        size = _MBAP + int.from_bytes(reply[4:_MBAP], "big")
        frames.append(reply[_MBAP:size])
        reply = reply[size:]
    last = frames[-1] if frames else b""  # those before it answered earlier questions
    return request[_MBAP:] + crc16(request[_MBAP:]), last + crc16(last)


def _sound(request: bytes, reply: bytes) -> bytes:
    """The sound answer to an RTU request among the received bytes; all of them where there is none."""
    for at in range(len(reply) - _COUNT_AT):
        frame = reply[at : at + _FRAME_SIZE + reply[at + _COUNT_AT]]
        if frame[:_COUNT_AT] == request[:_COUNT_AT] and has_sound_crc(frame):
            return frame
    return reply


def _raw(value: RawValue | Reason) -> str:
    return value.value if isinstance(value, NoValue | Reason) else str(value)


def _role(entry: Entry, item: Item, raws: Raws) -> dict[str, str]:
    """What an item does in its quantity: a part with its scale, a factor and what it stands for, or source of flags."""
    for part in entry.parts:
        if part.item == item:
            return {"role": "part", "scale": str(part.scale)}
    for factor in entry.factors:
        if factor.item == item:
            times = multiplier(factor, raws)
            return {"role": "factor", "times": f"{times:f}" if isinstance(times, Decimal) else times.value}
    return {"role": "flags"}


def _item_text(item: Item) -> str:
    """The protocol's own name of an item: table and register, or data identifier, and its type."""
    names = ("table", "register", "identifier", "field", "kind")
    found = [getattr(item, name) for name in names if hasattr(item, name)]
    if isinstance(getattr(item, "identifier", None), int):  # CJ/T 188, four hex digits in every document
        found[0] = f"{found[0]:04X}"
    return " ".join(dict.fromkeys(str(each) for each in found))
