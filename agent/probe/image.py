"""What recorded exchanges with one meter prove together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drivers.contract import Driver


def image_of(exchanges: Iterable[tuple[bytes, bytes]], driver: Driver) -> dict[str, Any]:
    """The meter's memory, as its items take their bytes from. Raises WireError for frames that are not sound."""
    image: dict[str, Any] = {}
    for request, reply in exchanges:
        for proven in driver.recall(request, reply).values():
            _merge(image, proven)
    return image


def _merge(image: dict[str, Any], more: Mapping[Any, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _merge(image.setdefault(key, {}), value)
        else:
            image[key] = value
