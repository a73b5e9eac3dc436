"""Starts a profile from what probes have read: the chosen readings as items, the frames as its tests. Pure.

The frames are those that came from the meter. What only a person knows (name, manual, firmware) stands in < > and is to
be filled in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from typing import Any

from agent.probe.image import image_of
from agent.profiles import Drivers
from agent.quantities import QUANTITIES
from drivers.contract import Driver

_SHOWN_OTHERS = 5
_EXACT = Context(prec=60)


class UnusableProbeError(Exception):
    """Why a probe's result makes no item: `code` names the sentence `probe.unusable.CODE`, `arguments` fill it."""

    def __init__(self, code: str, **arguments: str) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One reading of one probe's result: what it is, and how it is read."""

    quantity: str
    row: Mapping[str, Any]
    others: tuple[str, ...]
    document: Mapping[str, Any]


def chosen(document: Mapping[str, Any], *, quantity: str | None, number: int) -> Chosen:
    """The `number`-th (from 1) of a probe's marked readings. Raises UnusableProbeError."""
    rows = [row for row in document["rows"] if row["fit"] is not None]
    name = quantity or document.get("quantity")
    if name is None:
        raise UnusableProbeError("no_quantity", allowed=" ".join(QUANTITIES))
    if name not in QUANTITIES:
        raise UnusableProbeError("quantity", value=str(name), allowed=" ".join(QUANTITIES))
    rows.sort(key=lambda row: int(row["place"]))
    if not 1 <= number <= len(rows):
        raise UnusableProbeError("no_row", value=str(number), count=str(len(rows)))
    others = tuple(str(row["text"]) for row in rows if row is not rows[number - 1])
    return Chosen(quantity=str(name), row=rows[number - 1], others=others[:_SHOWN_OTHERS], document=document)


def profile_text(name: str, choices: Sequence[Chosen], drivers: Drivers) -> str:
    """The file's text. Raises UnusableProbeError: different protocols, a quantity twice."""
    protocols = {str(each.document["protocol"]) for each in choices}
    quantities = [each.quantity for each in choices]
    if len(protocols) > 1:
        raise UnusableProbeError("protocols", value=" ".join(sorted(protocols)))
    if twice := {each for each in quantities if quantities.count(each) > 1}:
        raise UnusableProbeError("twice", value=" ".join(sorted(twice)))
    first = choices[0].document
    driver = drivers[str(first["protocol"])]()
    lines = [
        f"profile: {name}",
        "title: {zh: <表的名称>, en: <name of the meter>}",
        'source: "<手册、版本、页码 / manual, edition, page>"',
        "tested: hardware",
        f"protocol: {first['protocol']}",
        f"line: {{baud: {first['baud']}, parity: {first['parity']}}}",
        "items:",
    ]
    for each in choices:
        lines += [f"  # also fits: {text}" for text in each.others]
        lines.append(f"  - {_item(each)}")
    lines.append("tests:")
    for each in choices:
        lines += _test(each, driver)
    return "\n".join(lines) + "\n"


def _item(each: Chosen) -> str:
    specs, fit = each.row["specs"], Decimal(each.row["fit"])
    scale = {} if fit == 1 else {"scale": fit}
    if len(specs) == 1:
        return _flow({"quantity": each.quantity, **specs[0], **scale})
    parts = [
        _flow({**spec, **({} if Decimal(own) == 1 else {"scale": Decimal(own)})})
        for spec, own in zip(specs, each.row["scales"], strict=True)
    ]
    tail = f", scale: {fit:f}" if scale else ""
    return f"{{quantity: {each.quantity}, sum: [{', '.join(parts)}]{tail}}}"


def _flow(mapping: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(key, value)}" for key, value in mapping.items()) + "}"


def _scalar(key: str, value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and key in {"id", "meter_type"}:
        return json.dumps(value)  # digits that are no number
    return str(value)


def _test(each: Chosen, driver: Driver) -> list[str]:
    """The recorded exchanges that hold the reading, and what they must decode to."""
    document = each.document
    with localcontext(_EXACT):
        value = Decimal(each.row["value"]) * Decimal(each.row["fit"])
    note = f"qushui probe, {str(document['at'])[:10]}; <哪块表、固件 / which meter, firmware>"
    lines = ["  - origin: captured", f"    note: {json.dumps(note, ensure_ascii=False)}", "    exchanges:"]
    for request, reply in _needed(each, driver):
        lines += [f'      - request: "{request}"', f'        reply: "{reply}"']
    return [*lines, f'    expect: {{{each.quantity}: "{value.normalize():f}"}}']


def _needed(each: Chosen, driver: Driver) -> list[tuple[str, str]]:
    """The exchanges without which the reading is not whole, in hexadecimal."""
    items: list[Any] = [driver.item(spec) for spec in each.row["specs"]]
    pairs = [(str(pair["request_hex"]).upper(), str(pair["reply_hex"]).upper()) for pair in each.document["exchanges"]]
    kept = list(pairs)
    for pair in pairs:
        rest = [other for other in kept if other != pair]
        image = image_of([(bytes.fromhex(request), bytes.fromhex(reply)) for request, reply in rest], driver)
        if all(item.taken(image) is not None for item in items):
            kept = rest
    return kept
