"""One request of a meter's sweep and its end, as it is kept, told, and shown as evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.line.line import NoReplyError, Transaction
from agent.model import Reason
from drivers.contract import Ask


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a sweep and its end: the last transaction, the tries it took, the reason if it gave no values."""

    ask: Ask
    transaction: Transaction
    tries: int
    reason: Reason | None

    @property
    def waited_s(self) -> float:
        """Until the first byte, or until nothing was waited for any more."""
        error = self.transaction.error
        return error.waited_s if isinstance(error, NoReplyError) else self.transaction.at_s - self.transaction.asked_s

    def evidence(self) -> dict[str, object]:
        """What was sent and heard, for a fault; of silence how long it lasted, else what the wire says."""
        error = self.transaction.error
        silence = (
            {"waited_s": f"{self.waited_s:.3g}"} if isinstance(error, NoReplyError) else {"detail": str(error or "")}
        )
        return {**self._bytes(), **silence, "tries": self.tries}

    def told(self) -> dict[str, Any]:
        """The request as `qushui read` shows it."""
        return {
            **self._bytes(),
            "error": self.reason and self.reason.value,
            "detail": str(self.transaction.error or ""),
            "tries": self.tries,
            "waited_ms": round(1000 * self.waited_s, 1),
        }

    def _bytes(self) -> dict[str, str]:
        return {
            "sent_hex": self.ask.begin(0).request.hex(" "),
            "received_hex": self.transaction.received.hex(" "),
        }
