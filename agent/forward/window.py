"""How much may be under way, and whether a link still moves. Pure arithmetic on moments of `Clock.monotonic`.

Strategy: the window is bytes, not messages, and follows the link: acknowledgements that come soon widen it, late ones
narrow it, so that a megabyte is under way over fibre and a few kilobytes over 64 kbit/s, where a second of waiting
data is a second of delay for the live ones behind it. A link is silent when nothing moves, not when an
acknowledgement takes long: a flat limit on acknowledgements delivers nothing at all over a slow link.
"""

from __future__ import annotations

FIRST_BYTES = 16 * 1024
MOST_BYTES = 1024 * 1024
LEAST_BYTES = 2 * 1024
_SOON_S = 0.5  # acknowledged within: widen by what was acknowledged
_LATE_S = 1.5  # acknowledged after: narrow
_NARROWED = 0.6
_TRY_LARGER_AFTER = 1000  # messages acknowledged


class Window:
    """Bytes of backlog that may be without acknowledgement; begins anew with each connection."""

    def __init__(self) -> None:
        self.size = FIRST_BYTES

    @property
    def batch_bytes(self) -> int:
        """What one message should hold: half a window, so that the next is under way while one is acknowledged."""
        return self.size // 2

    def acknowledged(self, size: int, waited_s: float) -> None:
        """A message of `size` bytes was acknowledged `waited_s` after it was sent."""
        if waited_s <= _SOON_S:
            self.size = min(MOST_BYTES, self.size + size)
        elif waited_s > _LATE_S:
            self.size = max(LEAST_BYTES, int(self.size * _NARROWED))


class Progress:
    """Since when a link with something under way has not moved: no receipt, and no byte taken by the far end."""

    def __init__(self, now: float) -> None:
        self._moved_at = now
        self._gone = 0
        self._handed = 0

    def handed(self, size: int) -> None:
        """`size` bytes were given to the link."""
        self._handed += size

    def still_s(self, now: float, *, unsent: int, receipts: bool, waiting: bool) -> float:
        """Seconds without movement; 0 while nothing is `waiting` for a receipt.

        `unsent` bytes of those handed over have not left yet, so a shrinking queue shows although more is added.
        """
        gone = self._handed - unsent
        if receipts or not waiting or gone > self._gone:
            self._moved_at = now
            self._gone = max(self._gone, gone)
        return now - self._moved_at


class MessageSize:
    """The largest message worth trying, learned over all connections.

    Many brokers hang up without a word on a message that is too large for them (MQTT 3.1.1 has no words for it), and
    would do so for ever. So a connection that is closed under a message larger than any that was ever acknowledged
    makes the next ones smaller; many acknowledgements later a larger one is tried again.
    """

    def __init__(self) -> None:
        self.most = MOST_BYTES
        self._proved = 0
        self._receipts = 0

    def acknowledged(self, size: int) -> None:
        """A message of `size` bytes was acknowledged."""
        self._proved = max(self._proved, size)
        self._receipts += 1
        if self._receipts >= _TRY_LARGER_AFTER and self.most < MOST_BYTES:
            self._receipts = 0
            self.most = min(MOST_BYTES, self.most * 2)

    def lost(self, largest: int) -> None:
        """The far end closed the connection while `largest` bytes in one message had no receipt."""
        if largest > self._proved:
            self._receipts = 0
            self.most = max(self._proved, largest // 2, 1)


class RoundSize:
    """The bytes a round takes in a message, learned from those sent, to choose how many to read."""

    def __init__(self) -> None:
        self._bytes = 400.0  # about ten values as JSON

    def rounds_in(self, size: int) -> int:
        """How many rounds make a message of about `size` bytes; at least one."""
        return max(1, int(size / self._bytes))

    def learn(self, rounds: int, size: int) -> None:
        """A message of `rounds` rounds took `size` bytes."""
        self._bytes += (size / rounds - self._bytes) / 4
