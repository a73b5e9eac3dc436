"""What goes over MQTT: topics, the payload of a batch, the state message, and what reason codes mean. Pure.

Strategy: a backlog is millions of values, so a round whose readings are all good is one `%` on a template that its
layout keeps, with cached dates; a round with a missing value or a quality flag is put together piece by piece. Both
ways give the same JSON (a test compares them), described by `docs/reference/mqtt-payload.schema.json`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from agent.model import Layout, Outcome, StoredRound
from agent.quantities import STATUS
from agent.uplinks.contract import MESSAGE_TROUBLES, Trouble

JSON: Final = "json"
JSON_ZLIB: Final = "json+zlib"
CONTENT_TYPES = MappingProxyType({JSON: "application/json", JSON_ZLIB: "application/json+zlib"})

SOURCE_KEYS = ("origin", "coefficient", "model", "u", "from", "to", "flags", "qc")
"""What a platform is told about an intake's reading, from its proof."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_MS = 60_000
_CACHED = 512  # dates and status texts kept; all are dropped when one more comes
_ZLIB_LEVEL = 6  # level 9 gains 1 % for twice the time


def rounds_topic(prefix: str, station: str) -> str:
    """The topic of all readings of a station."""
    return f"{prefix}/{station}/rounds"


def state_topic(prefix: str, station: str) -> str:
    """The retained topic that says whether the station is there; also the last will's."""
    return f"{prefix}/{station}/state"


def head_topic(prefix: str, station: str) -> str:
    """The retained topic of the newest signed head of the station's chain."""
    return f"{prefix}/{station}/head"


def state_payload(station: str, *, online: bool) -> bytes:
    """The state message. It carries no time: the will is fixed when the connection begins."""
    return json.dumps({"station": station, "state": "online" if online else "offline"}).encode("ascii")


class Composer:
    """Composes batches for one platform; keeps templates and dates.

    `timezone` is an IANA name, `encoding` a key of `CONTENT_TYPES`.
    """

    def __init__(self, timezone: str, encoding: str) -> None:
        self._dates = _Dates(timezone)
        self._forms: dict[int, _Form] = {}  # by identity: to hash a layout costs as much as to compose a round
        self._is_compressed = encoding == JSON_ZLIB

    def payload(self, rounds: Iterable[StoredRound], resent: Iterable[bool]) -> bytes:
        """The bytes of one message; every round must have a date."""
        forms = self._forms
        texts = []
        for each, again in zip(rounds, resent, strict=True):
            form = forms.get(id(each[2])) or self._form(each[2])
            texts.append(form.text(each, again))
        data = f"[{','.join(texts)}]".encode("ascii")
        return zlib.compress(data, _ZLIB_LEVEL) if self._is_compressed else data

    def _form(self, layout: Layout) -> _Form:
        if len(self._forms) >= _CACHED:
            self._forms.clear()
        form = self._forms[id(layout)] = _Form(layout, self._dates)  # keeps the layout, so its identity stays its own
        return form


class _Form:
    """The JSON of rounds of one layout."""

    def __init__(self, layout: Layout, dates: _Dates) -> None:
        self._layout = layout
        self._dates = dates
        self._period_ms = layout.period_ms
        self._status = layout.quantities.index(STATUS) if STATUS in layout.quantities else None
        self._flag_lists: dict[str, str] = {}
        self._keys = tuple(json.dumps(name) + ":" for name in layout.quantities)
        self._head = f'{{"id":"%s","meter":{_escaped(layout.meter)},"at":"%s","slot":"%s","resent":%s,"values":{{'
        values = [f"{key}%s" if place == self._status else f'{key}"%s"' for place, key in enumerate(self._keys)]
        self._good = f'{self._head}{",".join(values)}}},"quality":{{}}}}'

    def text(self, each: StoredRound, again: bool) -> str:
        """One round as a JSON object."""
        _, name, _, at_ms, texts, quality, proof = each
        assert at_ms is not None
        at = self._dates.at(at_ms)
        slot = self._dates.slot(at_ms - at_ms % self._period_ms)
        if quality is None and proof is None and None not in texts:
            if self._status is not None:
                texts = (*texts[: self._status], self._flags(texts[self._status]), *texts[self._status + 1 :])
            return self._good % (name, at, slot, "true" if again else "false", *texts)
        values = ",".join([key + self._value(place, texts[place]) for place, key in enumerate(self._keys)])
        reasons = json.dumps(quality or {}, separators=(",", ":"))
        source = "" if proof is None else _source(proof)
        return f'{self._head % (name, at, slot, "true" if again else "false")}{values}}},"quality":{reasons}{source}}}'

    def _value(self, place: int, text: str | None) -> str:
        if text is None:
            return "null"
        return self._flags(text) if place == self._status else f'"{text}"'

    def _flags(self, text: str | None) -> str:
        """The names of the flags of a stored status mask, as a JSON array."""
        assert text is not None
        known = self._flag_lists.get(text)
        if known is None:
            mask = int(text)
            names = [name for bit, name in enumerate(self._layout.flags) if mask >> bit & 1]
            if len(self._flag_lists) >= _CACHED:
                self._flag_lists.clear()
            known = self._flag_lists[text] = json.dumps(names, separators=(",", ":"))
        return known


def _source(proof: str) -> str:
    """What an intake's reading rests on, as far as a platform needs it: the keys behind `quality`."""
    known = json.loads(proof)
    told = {key: known[key] for key in SOURCE_KEYS if key in known}
    return "".join(f",{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in told.items())


class _Dates:
    """ISO 8601 texts in one time zone, with its offset; a minute is computed once."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._minutes: dict[int, tuple[str, str]] = {}
        self._slots: dict[int, str] = {}

    def at(self, ms: int) -> str:
        """The moment `ms` (UTC, since 1970) with milliseconds."""
        minute, rest = divmod(ms, _MINUTE_MS)
        texts = self._minutes.get(minute) or self._minute(minute)
        return f"{texts[0]}{rest // 1000:02d}.{rest % 1000:03d}{texts[1]}"

    def slot(self, ms: int) -> str:
        """The moment `ms`, with milliseconds only where it has some."""
        text = self._slots.get(ms)
        if text is None:
            if len(self._slots) >= _CACHED:
                self._slots.clear()
            text = self.at(ms)
            text = self._slots[ms] = text.replace(".000", "", 1) if ms % 1000 == 0 else text
        return text

    def _minute(self, minute: int) -> tuple[str, str]:
        """What stands before and behind the seconds in this minute since 1970."""
        text = (_EPOCH + timedelta(minutes=minute)).astimezone(self._zone).isoformat(timespec="minutes")
        if len(self._minutes) >= _CACHED:
            self._minutes.clear()
        texts = self._minutes[minute] = (f"{text[:16]}:", text[16:])
        return texts


def _escaped(text: str) -> str:
    """A JSON string that survives `%` formatting."""
    return json.dumps(text).replace("%", "%%")


# Reason codes of CONNACK, PUBACK and DISCONNECT. Source: OASIS MQTT 5.0 (2019), section 2.4 and table 2-6.
_TROUBLES = MappingProxyType(
    {
        0x84: Trouble.PROTOCOL_REFUSED,  # Unsupported Protocol Version
        0x85: Trouble.CLIENT_ID_REFUSED,
        0x86: Trouble.BAD_CREDENTIALS,
        0x87: Trouble.NOT_AUTHORIZED,
        0x88: Trouble.SERVER_BUSY,  # Server unavailable
        0x89: Trouble.SERVER_BUSY,
        0x8A: Trouble.NOT_AUTHORIZED,  # Banned
        0x8B: Trouble.SERVER_BUSY,  # Server shutting down
        0x8C: Trouble.BAD_CREDENTIALS,  # Bad authentication method
        0x8E: Trouble.TAKEN_OVER,
        0x90: Trouble.TOPIC_INVALID,
        0x95: Trouble.TOO_LARGE,
        0x96: Trouble.QUOTA_EXCEEDED,  # Message rate too high
        0x97: Trouble.QUOTA_EXCEEDED,
        0x99: Trouble.FORMAT_INVALID,
        0x9F: Trouble.QUOTA_EXCEEDED,  # Connection rate exceeded
    }
)
RETAIN_NOT_SUPPORTED = 0x9A
_FAILED = 0x80  # codes from here on are failures


def is_failure(code: int) -> bool:
    """Whether a reason code says no."""
    return code >= _FAILED


def trouble_of(code: int, *, otherwise: Trouble = Trouble.REFUSED) -> Trouble:
    """What a failing reason code means; `otherwise` where it tells nothing that would help."""
    return _TROUBLES.get(code, otherwise)


def outcome_of(code: int) -> Outcome:
    """What a PUBACK's code means: a refusal that concerns us is RETRY, one that concerns the message REJECTED."""
    if not is_failure(code):
        return Outcome.ACCEPTED
    return Outcome.REJECTED if trouble_of(code) in MESSAGE_TROUBLES else Outcome.RETRY
