"""What a reading of an intake rests on, as canonical JSON: kept where a measured round has its raw replies.

A reading of a booked interval (times in UTC ms, volumes in m³, energies in kWh, all amounts decimal text):

    {"form":1,"origin":"derived"|"measured"|"manual","from":ID,"to":ID,"registers":{METER:{"from","to","multiplier"}},
     "energy","pumping","volume","u","coefficient","model","depth","head","parts":[…],"flags":[…],"qc":1|3|4|9,
     "rules":{"R3":3,…},"software"}

`from` and `to` are the ids of the rounds (or `ledger/N` of a declaration) at the interval's ends; `u` is k = 1;
`coefficient` is `id@version`. `parts` stand there where several coefficients or pumps have a share of the interval, or
where a coefficient ended in it without a successor: the part behind its end is `expired`.
`rules` are those that found something. What has no value is left out. A closing has instead of an interval:
`before` and `after` {id, at_ms, total}, the readings around it; `method`, `settled` the total that both sides use;
`hour` and `day` the volumes, `flags` and `day_flags` their words; `registers` {METER: {before, after}}; `closing` the
SHA-256 of the closing's body as it is stored, so that the seal of the reading covers all of it. One of an hour that is
open again has only that hash and `open`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent.derive.convert import Part
from agent.derive.flags import Qartod, worst
from agent.intakes.closing import Hour
from agent.intakes.outcome import OPEN
from agent.intakes.track import Booked
from agent.rules.contract import Judgement

FORM = 1
ORIGIN_DERIVED, ORIGIN_MEASURED, ORIGIN_MANUAL = "derived", "measured", "manual"


def canonical(body: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces: the same content is the same text."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def text_of(number: Decimal) -> str:
    """A number in plain digits, never with an exponent."""
    return f"{number:f}"


def booked_proof(meter: str, booked: Booked, *, origin: str, judged: Judgement, software: str) -> str:
    """What a reading of a booked interval rests on."""
    amounts = {
        "energy": booked.energy_kwh,
        "pumping": booked.pumping_kwh,
        "volume": booked.volume_m3,
        "u": booked.u_m3,
    }
    body: dict[str, Any] = {
        "form": FORM,
        "origin": origin,
        "from": booked.begin.source,
        "to": booked.end.source,
        "registers": {
            meter: {
                "from": text_of(booked.begin.register),
                "to": text_of(booked.end.register),
                "multiplier": text_of(booked.factor),
            }
        },
        "qc": int(level_of(booked, judged)),
        "software": software,
        **{name: text_of(amount) for name, amount in amounts.items() if amount is not None},
        **_converted(booked),
    }
    if booked.flags:
        body["flags"] = [str(flag) for flag in booked.flags]
    return canonical(body | _rules(judged))


def level_of(booked: Booked, judged: Judgement) -> Qartod:
    """The quality of an interval's volume: missing, or the worse of what its words and the rules say."""
    if booked.volume_m3 is None:
        return Qartod.MISSING
    told = Qartod(judged.level)
    return max(worst(booked.flags), told) if told in (Qartod.SUSPECT, Qartod.FAIL) else worst(booked.flags)


def _rules(judged: Judgement) -> dict[str, Any]:
    """The rules that found something."""
    found = {rule: level for rule, level in judged.levels.items() if level >= Qartod.SUSPECT}
    return {"rules": found} if found else {}


def _converted(booked: Booked) -> dict[str, Any]:
    """How the water came from electricity."""
    parts = [part for part in booked.parts if part.coefficient]
    if not parts:
        return {}
    first = parts[0]
    body: dict[str, Any] = {"coefficient": first.coefficient, "model": first.model}
    sensed_m = None if booked.sensed is None else booked.sensed.depth_m
    depth_m = first.depth_m if first.depth_m is not None else sensed_m
    if depth_m is not None:
        body["depth"] = text_of(depth_m)
    if first.head_m is not None:
        body["head"] = text_of(first.head_m)
    if len(booked.parts) > 1:
        body["parts"] = [_part(part) for part in booked.parts]
    return body


def _part(part: Part) -> dict[str, Any]:
    body: dict[str, Any] = {"pump": part.pump, "from_ms": part.begin_ms, "to_ms": part.end_ms}
    body["energy"] = text_of(part.energy_kwh)
    if part.volume_m3 is not None:
        body |= {"volume": text_of(part.volume_m3), "coefficient": part.coefficient, "model": part.model}
    if part.share is not None and part.share.is_expired:
        body["expired"] = True
    for name, value in (("depth", part.depth_m), ("head", part.head_m)):
        if value is not None:
            body[name] = text_of(value)
    return body


def closing_proof(hour: Hour, *, origin: str, judged: Judgement, software: str) -> str:
    """What the readings of a closed hour rest on."""
    body: dict[str, Any] = {
        "form": FORM,
        "origin": origin,
        "method": hour.method,
        "settled": text_of(hour.settled_m3),
        "registers": hour.body["registers"],
        "closing": hashlib.sha256(canonical(hour.body).encode()).hexdigest(),
        "qc": int(worst(hour.flags) if hour.hour_m3 is not None else Qartod.MISSING),
        "software": software,
    }
    for end in ("before", "after"):
        if end in hour.body:
            reading = hour.body[end]
            body[end] = {"id": reading["id"], "at_ms": reading["at_ms"], "total": reading["volume"]}
    for name, volume in (("hour", hour.hour_m3), ("day", hour.day_m3)):
        if volume is not None:
            body[name] = text_of(volume)
    for name, flags in (("flags", hour.flags), ("day_flags", hour.day_flags if hour.is_midnight else ())):
        if flags:
            body[name] = [str(flag) for flag in flags]
    return canonical(body | _rules(judged))


def reopened_proof(*, origin: str, software: str) -> str:
    """What the readings of an hour say that was closed and is open again."""
    body = {"form": FORM, "origin": origin, "open": True, "qc": int(Qartod.MISSING), "software": software}
    return canonical(body | {"closing": hashlib.sha256(OPEN.encode()).hexdigest()})
