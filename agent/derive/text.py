"""A derived state as JSON text and back, digit for digit: the store keeps it beside the readings it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_text(value: object) -> str:
    """The JSON text of a dataclass or named tuple of decimals, whole numbers, words and the like."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def from_text(form: type[T], text: str) -> T:
    """What `to_text` made the text of. Raises: ValueError, TypeError or KeyError for any other text."""
    value: T = _built(form, json.loads(text))
    return value


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


@lru_cache(maxsize=64)
def _hints(form: Any) -> dict[str, Any]:
    return get_type_hints(form)


def _built(form: Any, value: Any) -> Any:
    origin, inner = get_origin(form), get_args(form)
    if origin in (Union, UnionType):
        return None if value is None else _built(next(part for part in inner if part is not type(None)), value)
    if origin is tuple:
        return tuple(_built(inner[0], item) for item in value)
    if origin is not None:
        return {key: _built(inner[1], item) for key, item in value.items()}
    return _built_plain(form, value)


def _built_plain(form: Any, value: Any) -> Any:
    if hasattr(form, "__dataclass_fields__"):
        hints = _hints(form)
        return form(**{name: _built(hints[name], item) for name, item in value.items()})
    if issubclass(form, tuple):
        kinds = tuple(_hints(form).values())
        if len(value) > len(kinds):
            raise ValueError(f"{value!r} is not {form.__name__}")
        return form(*(_built(kind, item) for kind, item in zip(kinds, value, strict=False)))  # later ones may be new
    if issubclass(form, Decimal | Enum):
        return form(value)
    if not isinstance(value, form):
        raise TypeError(f"{value!r} is not {form.__name__}")
    return value
