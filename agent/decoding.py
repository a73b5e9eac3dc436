"""A stored round taken apart anew: its frames, the bytes of each quantity, what the profile makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.decode import bundles, values
from agent.entries import Entry
from agent.model import Reason, StoredRound
from agent.probe.image import image_of
from agent.profiles import Library
from agent.replay import value_text
from agent.settings import Profile
from drivers.contract import Driver, Item, NoValue, RawValue, WireError
from drivers.octets import crc16

_MBAP = 6  # bytes before the unit in a Modbus TCP frame


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
        image = _image(frames, self._drivers[profile.protocol]())
        raws: dict[Any, RawValue | Reason] = {}
        told = []
        for item in dict.fromkeys(item for bundle in bundles([entry]) for item in bundle):
            data = item.taken(image)
            raws[item] = Reason.NO_REPLY if data is None else item.decode(data)
            shown = "" if data is None else data.hex()
            told.append({"item": _item_text(item), "bytes": shown, "raw": _raw(raws[item]), **_role(entry, item)})
        (value,), quality = values([entry], raws)
        reasons = list(quality.get(entry.quantity, ()))
        return {
            "quantity": entry.quantity,
            "items": told,
            "scale": str(entry.scale),
            "offset": str(entry.offset),
            "value": value_text(value),
            "reasons": reasons,
        }


def _image(frames: Sequence[tuple[bytes, bytes]], driver: Driver) -> dict[str, Any]:
    """What the frames prove of the meter's memory; frames that are not sound prove nothing."""
    image: dict[str, Any] = {}
    for request, reply in frames:
        if not reply:
            continue
        try:
            more = image_of([(_serial(request), _serial(reply))], driver)
        except WireError:
            continue
        for table, content in more.items():
            if isinstance(content, Mapping):
                image.setdefault(table, {}).update(content)
            else:
                image[table] = content
    return image


def _serial(frame: bytes) -> bytes:
    """A Modbus TCP frame as RTU frames are written, which recordings are; anything else as it is."""
    if frame[2:4] == b"\0\0" and int.from_bytes(frame[4:_MBAP], "big") == len(frame) - _MBAP:
        return frame[_MBAP:] + crc16(frame[_MBAP:])
    return frame


def _raw(value: RawValue | Reason) -> str:
    return value.value if isinstance(value, NoValue | Reason) else str(value)


def _role(entry: Entry, item: Item) -> dict[str, str]:
    """What an item does in its quantity: a part with its scale, a factor, or the source of flags."""
    for part in entry.parts:
        if part.item == item:
            return {"role": "part", "scale": str(part.scale)}
    return {"role": "factor" if any(factor.item == item for factor in entry.factors) else "flags"}


def _item_text(item: Item) -> str:
    """The protocol's own name of an item: table and register, or data identifier, and its type."""
    names = ("table", "register", "identifier", "field", "kind")
    return " ".join(str(getattr(item, name)) for name in names if hasattr(item, name))
