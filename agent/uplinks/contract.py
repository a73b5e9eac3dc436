"""What every platform connection gives: open, send, receipts, and the ways in which a link fails. Pure.

Strategy: an uplink owns a socket and a wire format and nothing else. It has no thread, no deadline, no queue and no
retry; `agent/forward` calls it from one thread, waits on its descriptor and decides what goes when. What an uplink
was given and not receipted when the link ends is read from the store and sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from agent.model import Receipt, StoredRound


class Trouble(StrEnum):
    """Why a link is not there, or why a platform does not take what it gets. Each has a sentence `uplink.trouble.*`."""

    NAME_UNKNOWN = "NAME_UNKNOWN"  # the name server says: no such host
    NAME_SERVER_SILENT = "NAME_SERVER_SILENT"
    CONNECTION_REFUSED = "CONNECTION_REFUSED"  # the host is there, nothing listens on the port
    NO_ROUTE = "NO_ROUTE"
    TIMED_OUT = "TIMED_OUT"  # no connection, or no welcome, within the time for it
    CLOSED = "CLOSED"  # by the platform or the network
    SILENT = "SILENT"  # connected, but nothing moves
    TLS_CLOCK_UNSET = "TLS_CLOCK_UNSET"  # certificate "not yet valid" while our own clock is unset
    TLS_NOT_YET_VALID = "TLS_NOT_YET_VALID"
    TLS_EXPIRED = "TLS_EXPIRED"
    TLS_NAME_MISMATCH = "TLS_NAME_MISMATCH"
    TLS_UNTRUSTED = "TLS_UNTRUSTED"
    TLS_CERTIFICATE_WANTED = "TLS_CERTIFICATE_WANTED"  # the platform does not accept ours, or wants one
    TLS_FAILED = "TLS_FAILED"
    FILE_UNREADABLE = "FILE_UNREADABLE"  # password, certificate or key
    BAD_CREDENTIALS = "BAD_CREDENTIALS"
    NOT_AUTHORIZED = "NOT_AUTHORIZED"
    CLIENT_ID_REFUSED = "CLIENT_ID_REFUSED"
    PROTOCOL_REFUSED = "PROTOCOL_REFUSED"
    SERVER_BUSY = "SERVER_BUSY"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    TAKEN_OVER = "TAKEN_OVER"  # another client came with our client id
    NO_RECEIPTS = "NO_RECEIPTS"  # the platform cannot acknowledge what it gets
    REFUSED = "REFUSED"  # without a reason that tells more
    FORMAT_INVALID = "FORMAT_INVALID"
    TOPIC_INVALID = "TOPIC_INVALID"
    TOO_LARGE = "TOO_LARGE"


REFUSALS = frozenset(
    {
        Trouble.BAD_CREDENTIALS,
        Trouble.NOT_AUTHORIZED,
        Trouble.CLIENT_ID_REFUSED,
        Trouble.PROTOCOL_REFUSED,
        Trouble.QUOTA_EXCEEDED,
        Trouble.TAKEN_OVER,
        Trouble.NO_RECEIPTS,
        Trouble.REFUSED,
        Trouble.TLS_CERTIFICATE_WANTED,
    }
)
"""Troubles with which the platform itself turns us away; the others are the network's or our own."""

MESSAGE_TROUBLES = frozenset({Trouble.FORMAT_INVALID, Trouble.TOPIC_INVALID, Trouble.TOO_LARGE})
"""Troubles that concern one message: to send it again unchanged would never help."""


class LinkError(Exception):
    """The link could not be had, or is over. `detail` is what the network or the platform said, for the evidence."""

    def __init__(self, trouble: Trouble, detail: str = "") -> None:
        super().__init__(f"{trouble}: {detail}")
        self.trouble = trouble
        self.detail = detail


class TooLargeError(Exception):
    """A batch does not fit into one message of this link; nothing was sent. Sizes in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} > {limit}")
        self.size = size
        self.limit = limit


class Batch(NamedTuple):
    """Rounds for one message, ascending; `resent` runs parallel: the platform may have received this one before."""

    rounds: Sequence[StoredRound]
    resent: Sequence[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this connection carries: bytes of one message's payload, and messages without receipt at a time."""

    message_bytes: int
    in_flight: int


@runtime_checkable
class TakesHeads(Protocol):
    """An uplink whose platform may keep the signed heads of the chain."""

    @property
    def takes_heads(self) -> bool:
        """Whether this platform has a place for them."""
        ...

    def send_head(self, head: str, tag: int) -> None:
        """Hands over the newest head, JSON text, as `send` does; its receipt will carry `tag`."""
        ...


class Uplink(Protocol):
    """One platform connection, used from one thread. `open` may be called again after `close`."""

    @property
    def address(self) -> str:
        """Where the platform is, for people: a URL without secrets, or host:port."""
        ...

    def open(self, timeout_s: float) -> Limits:
        """Connects and waits for the platform's welcome, at most about `timeout_s` (name resolution comes on top).

        Raises LinkError; nothing is left open then.
        """
        ...

    def send(self, batch: Batch, tag: int) -> int:
        """Hands one message over for sending and returns its bytes; never waits. Its receipt will carry `tag`.

        Raises TooLargeError. A link that is over says so at the next `pump`.
        """
        ...

    def fileno(self) -> int:
        """A descriptor that is readable whenever `pump` has something to do."""
        ...

    def pump(self) -> Sequence[Receipt]:
        """Moves bytes both ways without waiting; the receipts that came. Raises LinkError when the link is over."""
        ...

    def unsent(self) -> int:
        """Bytes handed over that the far end's network has not taken yet: ours and the kernel's."""
        ...

    def close(self, farewell_s: float = 0.0) -> None:
        """Ends the connection: says goodbye within `farewell_s`, or drops it (and what is unsent) at once with 0."""
        ...
