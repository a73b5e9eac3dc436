"""Freezes a quarter: makes the record, signs it, declares it to the books, keeps the rounds it rests on.

Strategy: the record goes into the ledger in one piece and in one commit with what keeps its rounds. A kill before that
commit leaves nothing; after it the version is there for good. A gateway whose key cannot be read here freezes all the
same: the daily head that the daemon signs covers the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.client import Site
from agent.declaring import Declaring
from agent.reporting import Frozen, Reporting
from agent.reports.freezing import Asked, Refused, frozen, record, refused, statement
from agent.reports.report import Report
from agent.reports.spans import Span
from agent.settings import Config
from agent.signing import KeyUnusableError, fingerprint, key_place, sign, signed_text


class Freezing:
    """The frozen quarters of one station. Raises ControlError and PermissionError as `Declaring`."""

    def __init__(self, site: Site, config: Config, *, reporting: Reporting, now_ms: int) -> None:
        """`now_ms`: UTC ms, as the station's clock says."""
        self._site = site
        self._config = config
        self._reporting = reporting
        self._now_ms = now_ms

    def freeze(self, span: Span, versions: Sequence[Report], asked: Asked) -> Frozen | Refused:
        """Freezes a quarter as the version after those there are, or says why not."""
        now_ms = self._now_ms
        draft = self._reporting.draft(span, made_ms=now_ms, accepted_expired=asked.accepts_expired)
        last = versions[-1] if versions else None
        if (why := refused(draft, last, asked, now_ms=now_ms)) is not None:
            return why
        report = frozen(draft, asked, version=len(versions) + 1, now_ms=now_ms)
        key, signature = self._signed(report)
        body = record(report, keep=self._reporting.kept_rounds(report), key=key, signature=signature)
        declaring = Declaring(self._site, self._config)
        row = declaring.declare("frozen", span.name, None, body, report.who)
        return Frozen(row=row["id"], report=report, sha256=report.sha256, key=key, signature=signature)

    def _signed(self, report: Report) -> tuple[str, str]:
        """The key's fingerprint and the signature in hex; "" where the key cannot be used here."""
        try:
            stated = statement(report.station, report.span.name, report.version, report.sha256)
            signed = sign(key_place(self._site.store), signed_text(stated))
        except (KeyUnusableError, ImportError):
            return "", ""
        return fingerprint(signed.public), signed.signature.hex()
