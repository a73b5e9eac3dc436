"""The data behind the identifiers of a DL/T 645 meter, as its answers prove them or a simulator holds them. Pure.

An image is {identifier as printed: data without 33H}. Members are cut out of a block that is there, and blocks are put
together from their members. What a follow-up brought stands under the identifier with `+` and its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.dlt645_table import EDITION_1997, block_of, edition_of, field_of, member_of
from drivers.dlt645_values import cut

UNMERGED = "unmerged"
"""The key of an image that refuses blocks which it does not hold as such."""

_BLOCK_END = b"\xaa"
_MOST_TARIFFS = 64


def data_of(image: Mapping[str, Any], identifier: str) -> bytes | None:
    """The data behind an identifier; None when the image does not have it."""
    found = held(image, identifier)
    return _block(image, identifier) if found is None and UNMERGED not in image else found


def held(image: Mapping[str, Any], identifier: str) -> bytes | None:
    """The same without blocks that nobody has told: what stands under the identifier, or in the block it belongs to."""
    if identifier in image:
        parts, number = [bytes(image[identifier])], 1
        while (more := image.get(f"{identifier}+{number}")) is not None:
            parts.append(bytes(more))
            number += 1
        return b"".join(parts)
    home = block_of(identifier)
    return None if home is None else _member(image, *home)


def _member(image: Mapping[str, Any], block: str, place: int) -> bytes | None:
    field = field_of(block)
    if field is None or block not in image:
        return None
    data = held(image, block) or b""
    items = cut(data, field.size, field.most, has_ends=edition_of(block) == EDITION_1997)[0]
    return items[place] if place < len(items) else None


def _block(image: Mapping[str, Any], block: str) -> bytes | None:
    """The members that are there, those between them as not available, and AA behind each (1997)."""
    field = field_of(block)
    if field is None or not field.is_block:
        return None
    missing = (b"\0" if field.kind == "bits" else b"\xff") * field.size
    members = [member_of(block, place) for place in range(field.most or _MOST_TARIFFS)]
    held = [image.get(member) if member else None for member in members]
    last = max((place for place, data in enumerate(held) if data is not None), default=-1)
    if last < 0:
        return None
    count = field.most or last + 1
    end = _BLOCK_END if edition_of(block) == EDITION_1997 else b""
    return b"".join((missing if data is None else bytes(data)) + end for data in held[:count])
