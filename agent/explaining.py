"""Where a figure comes from: from a quarter or a derived reading down to the bytes that a meter sent.

Strategy: every derived reading carries a proof that names the rounds it rests on, every closing the readings around its
hour; following them needs no second bookkeeping. A round is taken apart anew, from its stored bytes, through the
profile it was read with; where that version is not at hand, it says so instead of guessing. What retention has taken is
named with the hash that the chain keeps of it. Where a declaration came late, the figure that stands now leads, with
why it was revised, and below it what was told at first. The result is plain data: `kind` says what a node is,
`rests_on` holds the next ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

from agent.clock import date_of
from agent.decoding import Decoding
from agent.derive.exact import MS_PER_HOUR, OutOfDomain, instant_ms
from agent.intakes.outcome import Derived
from agent.model import INTAKE, MANUAL, Layout, StoredRound
from agent.reporting import frozen_versions, number_of
from agent.reports.closings import Standing, between, standing_of
from agent.reports.spans import Span, SpanKind, span_of
from agent.revising import derived_again, late_for, revised_hours, revision_of, told_first_and_last
from agent.store.book import Intake
from agent.store.book_reader import BookReader, ClosingRow, LedgerRow

_ROUND = re.compile(r"(?P<id>[0-9a-f]{8}-[0-9]{1,18})(?:/(?P<quantity>[a-z_]+))?")
_AT = re.compile(r"(?P<name>[a-z0-9-]{1,32})@(?P<time>.+)")
_OVER = re.compile(r"(?P<name>[a-z0-9-]{1,32}):(?P<period>[0-9Q-]+)")
_DECLARED = ("replacement", "decision", "reading", "acknowledgement", "withdrawal")
_EPOCH = "SELECT epoch FROM epoch WHERE first <= ? ORDER BY first DESC LIMIT 1"
_DIGEST_BYTES = 32
_DEEP = 9  # more levels than there are
_KINDS = (SpanKind.QUARTER, SpanKind.MONTH, SpanKind.DAY)

Node = dict[str, Any]


class NotExplainedError(Exception):
    """What was asked for is none or is not there: `code` names the sentence `explain.wrong.CODE`."""

    def __init__(self, code: str, **arguments: object) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


class Explaining:
    """Explains the figures of one database. Raises as `BookReader` does."""

    def __init__(
        self,
        book: BookReader,
        decoding: Decoding,
        *,
        zone: tzinfo,
        software: str,
        intake: Callable[[str], Intake | None],
    ) -> None:
        """`software` is the version that explains; proofs name those that derived. `intake` gives a configured intake,
        asked only where something is to be derived again.
        """
        self._book = book
        self._intake = intake
        self._decoding = decoding
        self._zone = zone
        self._software = software

    def explained(self, asked: str, *, deep: bool = False) -> Node:
        """The tree of a reading's id, METER@TIME, INTAKE@TIME or INTAKE:PERIOD; `deep`: down to the bytes everywhere.

        Raises: NotExplainedError.
        """
        if found := _ROUND.fullmatch(asked):
            node = self.round(found["id"], quantity=found["quantity"], levels=_DEEP if deep else 2)
            stored = self._book.find(found["id"])
            return node if stored is None else {**node, **self._outdated(stored)}
        if found := _OVER.fullmatch(asked):
            return self._period(found["name"], found["period"], levels=_DEEP if deep else 0)
        if found := _AT.fullmatch(asked):
            at_ms = self._instant(found["time"])
            newest = self._book.at(found["name"], at_ms)
            if newest is None:
                raise NotExplainedError("nothing_at", name=found["name"], time=found["time"])
            return self._standing(newest, levels=_DEEP if deep else 2)
        raise NotExplainedError("not_understood", value=asked)

    def round(self, round_id: str, *, quantity: str | None = None, levels: int) -> Node:
        """A round, and down to `levels` levels what it rests on (its own bytes are one)."""
        stored = self._book.find(round_id)
        if stored is None:
            return self._gone(round_id)
        if quantity is not None and quantity not in stored.layout.quantities:
            raise NotExplainedError("no_quantity", value=quantity, known=" ".join(stored.layout.quantities))
        node: Node = {
            "kind": "round",
            "id": stored.id,
            "meter": stored.layout.meter,
            "at_ms": stored.at_ms,
            "origin": _origin(stored),
            "values": _values(stored, quantity),
            "seal": self._seal(stored.number),
        }
        if not levels:
            return node
        if stored.layout.protocol == INTAKE:
            return {**node, **self._derived(stored.layout, json.loads(stored.proof or "{}"), levels - 1)}
        if stored.layout.protocol == MANUAL:
            (raw,) = self._book.rounds.raw(stored.number)
            return {**node, "entered": json.loads(raw) if raw else {}}
        return {**node, **self._decoding.told(stored, self._book.rounds.raw(stored.number), quantity)}

    # --- what was revised

    def _standing(self, told: StoredRound, levels: int) -> Node:
        """What stands now for a reading: itself, or what took its place since a declaration came late."""
        hours = revised_hours(self._book, told) if told.layout.protocol == INTAKE else []
        if hours and told.layout.period_ms == MS_PER_HOUR and hours[0].at_ms == told.at_ms:
            return self._hour(told, hours[0], levels)
        because = late_for(self._book, told, hours)
        if not because:
            return self.round(told.id, levels=levels)
        intake = self._intake(told.layout.meter)
        again = None if intake is None else derived_again(self._book, intake, told)
        found: Node = {"kind": "again", "intake": told.layout.meter, "at_ms": told.at_ms, "values": {}}
        if again is None:
            found |= {"rests_on": [self._boundary(row, levels) for row in hours if not row.is_open]}
        else:
            assert intake is not None
            layout = replace(told.layout, version=intake.version)
            found |= {"values": _values_again(again), **self._derived(layout, json.loads(again.proof), levels - 1)}
        found["rests_on"].append(self._first_told(told))
        return {**found, "revised": {"earlier_m3": [], "because": [_declaration(row) for row in because]}}

    def _hour(self, told: StoredRound, row: ClosingRow, levels: int) -> Node:
        """The reading of a closed hour that was settled anew, as it was told last."""
        revision = revision_of(self._book, told.layout.meter, row)
        if revision is None:
            return self.round(told.id, levels=levels)
        first, last = told_first_and_last(self._book, told, revision)
        node = {**self.round(last.id, levels=levels), **self._revised(told.layout.meter, row)}
        if first.number != last.number:
            node["rests_on"].append(self._first_told(first))
        return node

    def _revised(self, intake: str, row: ClosingRow) -> Node:
        """Why a closed hour is not as it was first settled; nothing where it is."""
        revision = revision_of(self._book, intake, row)
        if revision is None:
            return {}
        because = [_declaration(each) for each in revision.because]
        return {"revised": {"earlier_m3": [f"{each:f}" for each in revision.earlier], "because": because}}

    def _first_told(self, told: StoredRound) -> Node:
        return {**self.round(told.id, levels=0), "kind": "told"}

    def _outdated(self, stored: StoredRound) -> Node:
        """That a reading does not stand any more, and why; nothing where it does."""
        if stored.layout.protocol != INTAKE:
            return {}
        because = late_for(self._book, stored, revised_hours(self._book, stored))
        if not because or stored.at_ms is None:
            return {}
        at = date_of(stored.at_ms).astimezone(self._zone).isoformat(timespec="milliseconds")
        figure = f"{stored.layout.meter}@{at}"
        return {"outdated": {"figure": figure, "because": [_declaration(row) for row in because]}}

    # --- one round

    def _gone(self, round_id: str) -> Node:
        """A round that is no longer stored: what the chain still knows of it."""
        number = number_of(round_id)
        seal = None if number is None else self._seal(number)
        epochs = self._book.rounds.query(_EPOCH, (number or 0,))
        if seal is None or number is None or not epochs or not round_id.startswith(f"{epochs[0][0]}-"):
            raise NotExplainedError("no_round", value=round_id)
        rows = self._book.rounds.query("SELECT digests FROM proof WHERE seal = ?", (seal["id"],))
        first = int(seal["first"])
        digests = rows[0][0] if rows else b""
        digest = digests[(number - first) * _DIGEST_BYTES : (number - first + 1) * _DIGEST_BYTES]
        return {"kind": "gone", "id": round_id, "seal": seal, "sha256": digest.hex()}

    def _derived(self, layout: Layout, proof: Mapping[str, Any], levels: int) -> Node:
        """What an intake's reading rests on, as its proof says."""
        ends = [proof[name] for name in ("from", "to") if name in proof]
        ends += [proof[name]["id"] for name in ("before", "after") if name in proof]
        for shown in proof.get("registers", {}).values():  # a closing names every register's readings
            ends += [shown[name]["id"] for name in ("before", "after") if isinstance(shown.get(name), Mapping)]
        sources = [self._source(name, levels) for name in dict.fromkeys(ends)]
        times = [node["at_ms"] for node in sources if node.get("at_ms") is not None]
        meters = {layout.meter, *proof.get("registers", {})}
        span = (min(times), max(times)) if times else (0, -1)
        return {
            "intake": layout.meter,
            "code": layout.address,
            "settings_version": layout.version,
            "software": proof.get("software", ""),
            "proof": proof,
            "coefficients": [self._coefficient(name) for name in _coefficients_in(proof)],
            "declarations": [_declaration(row) for row in self._declared(meters, *span)],
            "rests_on": sources,
        }

    def _source(self, name: str, levels: int) -> Node:
        """A round, or a row of the ledger (`ledger/N`), that an interval begins or ends with."""
        kind, _, number = name.partition("/")
        if kind == "ledger":
            rows = [row for row in self._book.ledger() if str(row.id) == number]
            return _declaration(rows[0]) if rows else {"kind": "declaration", "id": number}
        return self.round(name, levels=levels)

    def _coefficient(self, name: str) -> Node:
        """A coefficient version as the ledger has it."""
        subject, _, version = name.partition("@")
        for row in self._book.ledger("coefficient", subject):
            if str(row.body.get("version")) == version:
                return {**_declaration(row), "kind": "coefficient", "name": name}
        return {"kind": "coefficient", "name": name}

    def _declared(self, subjects: Iterable[str], from_ms: int, to_ms: int) -> Iterator[LedgerRow]:
        """What people declared about these that counts from a time between both, ends included."""
        wanted = {each for name in subjects for each in (name, f"meter/{name}", f"intake/{name}")}
        for kind in _DECLARED:
            for row in self._book.ledger(kind):
                if row.subject in wanted and row.at_ms is not None and from_ms <= row.at_ms <= to_ms:
                    yield row

    def _period(self, intake: str, period: str, levels: int) -> Node:
        """A quarter's, month's or day's volume: its two boundaries and the rounds around them."""
        span = self._span(period)
        first = self._book.closing(intake, span.begin_ms)
        rows = [first] if first is not None else self._book.closings(intake, span.begin_ms, span.end_ms)[:1]
        last = self._book.closing(intake, span.end_ms)
        rows += [last] if last is not None else self._book.closings(intake, span.begin_ms + 1, span.end_ms)[-1:]
        if len(rows) < 2 or rows[0] == rows[-1]:  # noqa: PLR2004 - two boundaries
            raise NotExplainedError("nothing_in", name=intake, period=period)
        begin, end = (standing_of(row.at_ms, row.revision, row.body) for row in rows)
        gain = between(begin, end)
        meters = {intake, *begin.shown, *end.shown}
        return {
            "kind": "period",
            "intake": intake,
            "period": period,
            "begin_ms": span.begin_ms,
            "end_ms": span.end_ms,
            "volume_m3": f"{end.edge.volume_m3 - begin.edge.volume_m3:f}",
            "is_known": begin.edge.is_known and end.edge.is_known,
            "software": self._software,
            "coefficients": [
                {**self._coefficient(name), "volume_m3": f"{volume:f}"} for name, volume in sorted(gain.volumes.items())
            ],
            "declarations": [_declaration(row) for row in self._declared(meters, span.begin_ms, span.end_ms - 1)],
            "frozen": self._frozen(intake, span),
            "rests_on": [{**self._boundary(row, levels), **self._revised(intake, row)} for row in rows],
        }

    def _boundary(self, row: ClosingRow, levels: int) -> Node:
        """A closing: how it was settled, and the readings around it."""
        standing: Standing = standing_of(row.at_ms, row.revision, row.body)
        ids = [shown for each in standing.shown.values() for shown in (each.before, each.after) if shown]
        edge = standing.edge
        return {
            "kind": "closing",
            "at_ms": row.at_ms,
            "revision": row.revision,
            "volume_m3": f"{edge.volume_m3:f}",
            "method": edge.method,
            "offset_ms": edge.offset_ms,
            "bracket_ms": edge.bracket_ms,
            "rests_on": [self._source(name, levels) for name in dict.fromkeys(ids)],
        }

    def _frozen(self, intake: str, span: Span) -> list[Node]:
        """What the frozen versions of the quarter say of this intake."""
        if span.kind is not SpanKind.QUARTER:
            return []
        return [
            {
                "kind": "frozen",
                "version": each.report.version,
                "at_ms": each.report.made_ms,
                "who": each.report.who,
                "reason": each.report.reason,
                "sha256": each.sha256,
                "key": each.key,
                "software": each.report.software,
                "voucher_m3": None if told.voucher_m3 is None else f"{told.voucher_m3:f}",
            }
            for each in frozen_versions(self._book, span.name)
            for told in each.report.intakes
            if told.name == intake
        ]

    def _seal(self, number: int) -> Node | None:
        row = self._book.seal_of(number)
        return None if row is None else {"id": row.id, "first": row.first, "last": row.last, "hash": row.hash}

    def _instant(self, text: str) -> int:
        try:
            at = datetime.fromisoformat(text.strip())
        except ValueError as error:
            raise NotExplainedError("no_time", value=text) from error
        return instant_ms(at if at.tzinfo is not None else at.replace(tzinfo=self._zone))

    def _span(self, period: str) -> Span:
        for kind in _KINDS:
            try:
                return span_of(kind, period, self._zone)
            except OutOfDomain:
                continue
        raise NotExplainedError("no_period", value=period)


def _origin(stored: StoredRound) -> str:
    if stored.layout.protocol == INTAKE:
        return str(json.loads(stored.proof or "{}").get("origin", "derived"))
    return "manual" if stored.layout.protocol == MANUAL else "measured"


def _values(stored: StoredRound, quantity: str | None) -> dict[str, Node]:
    """The readings of a round: text (flags: a list) and what is said about its quality."""
    quality = stored.quality or {}
    flags = stored.layout.flags
    return {
        name: {"value": _flags(text, flags) if name == "status" else text, "quality": list(quality.get(name, ()))}
        for name, text in zip(stored.layout.quantities, stored.texts, strict=True)
        if quantity in (None, name)
    }


def _flags(mask: str | None, names: Sequence[str]) -> list[str] | None:
    """The flags of a stored status value."""
    return None if mask is None else [name for at, name in enumerate(names) if int(mask) >> at & 1]


def _values_again(derived: Derived) -> dict[str, Node]:
    """The same of what was derived once more."""
    return {
        name: {"value": None if value is None else f"{value:f}", "quality": list(derived.quality.get(name, ()))}
        for name, value in zip(derived.quantities, derived.values, strict=True)
        if not isinstance(value, frozenset)
    }


def _coefficients_in(proof: Mapping[str, Any]) -> list[str]:
    parts = [proof, *proof.get("parts", ())]
    return list(dict.fromkeys(part["coefficient"] for part in parts if part.get("coefficient")))


def _declaration(row: LedgerRow) -> Node:
    return {
        "kind": "declaration",
        "id": row.id,
        "about": row.kind,
        "subject": row.subject,
        "at_ms": row.at_ms,
        "entered_ms": row.entered_ms,
        "who": row.who,
        "body": row.body,
    }
