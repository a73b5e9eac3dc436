"""Judges a delivery: what is stored against what a subscriber behind the broker received."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.model import StoredRound
from agent.quantities import STATUS
from tests.system.processes import wall_s


@dataclass(frozen=True, slots=True)
class Delivery:
    """Stored rounds against received ones."""

    stored: int
    received: int
    missing: list[str]  # stored, never received
    different: list[str]  # received other than stored, or never stored, or repeated with other content
    repeated: int
    unmarked_repeats: list[str]  # received again without saying that it may be a repeat


def compare(stored: Mapping[str, StoredRound], came: Sequence[Mapping[str, Any]]) -> Delivery:
    """What the subscriber got, judged by what the database holds."""
    seen: dict[str, dict[str, Any]] = {}
    different, unmarked = [], []
    for one in came:
        identity, content = one["id"], {key: value for key, value in one.items() if key != "resent"}
        if identity in seen:
            if seen[identity] != content:
                different.append(f"{identity}: {seen[identity]} then {content}")
            if not one["resent"]:
                unmarked.append(identity)
            continue
        seen[identity] = content
        kept = stored.get(identity)
        if kept is None or _published(kept) != _received(content):
            different.append(f"{identity}: stored {kept}, received {content}")
    missing = [identity for identity in stored if identity not in seen]
    return Delivery(len(stored), len(seen), missing, different, len(came) - len(seen), unmarked)


def _published(kept: StoredRound) -> tuple[object, ...]:
    """What must be published of a stored round."""
    values: dict[str, object] = dict(zip(kept.layout.quantities, kept.texts, strict=True))
    if (mask := values.get(STATUS)) is not None:
        values[STATUS] = {flag for bit, flag in enumerate(kept.layout.flags) if int(str(mask)) >> bit & 1}
    quality = {quantity: tuple(reasons) for quantity, reasons in (kept.quality or {}).items()}
    return kept.layout.meter, kept.at_ms, kept.slot_ms, values, quality


def _received(content: Mapping[str, Any]) -> tuple[object, ...]:
    values = {key: set(value) if isinstance(value, list) else value for key, value in content["values"].items()}
    quality = {quantity: tuple(reasons) for quantity, reasons in content["quality"].items()}
    return content["meter"], _ms(content["at"]), _ms(content["slot"]), values, quality


def _ms(text: str) -> int:
    return round(wall_s(text) * 1000)
