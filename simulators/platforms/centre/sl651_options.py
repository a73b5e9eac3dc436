"""The options of a simulated SL 651 centre, and those that may change while it runs. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agent.uplinks.sl651_wire.codes import STANDARD, Dialect

_LAST_CENTRE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Sl651Options:
    """One centre. `end` EOT or ESC behind a last frame; `password` and `centre`: None takes what comes."""

    end: str = "ESC"
    password: str | None = None
    centre: int | None = None
    timeout_s: float = 20.0
    confirms_answers: bool = True
    dialect: Dialect = STANDARD


def _password(text: str) -> str | None:
    if text == "any":
        return None
    if re.fullmatch("[0-9A-Fa-f]{4}", text) is None:
        raise ValueError("0000–FFFF, any")
    return text.upper()


def _end(text: str) -> str:
    if text.upper() not in {"EOT", "ESC"}:
        raise ValueError("EOT, ESC")
    return text.upper()


def _centre(text: str) -> int | None:
    if text == "any":
        return None
    if re.fullmatch("[0-9]{1,3}", text) is None or int(text) > _LAST_CENTRE:
        raise ValueError(f"0–{_LAST_CENTRE}, any")
    return int(text)


SETTINGS: Mapping[str, Callable[[str], Any]] = MappingProxyType({"end": _end, "password": _password, "centre": _centre})
"""What may change while a centre runs, and how its text is read. Raises ValueError that names what is allowed."""
