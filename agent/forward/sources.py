"""What the forwarder needs of the store and of its settings: the store's own classes fit."""

from __future__ import annotations

from typing import Protocol

from agent.model import Ranges, StoredRound


class Rounds(Protocol):
    """What is read: the store's `Reader`, with a connection of its own."""

    def rounds(self, first: int, last: int, *, limit: int) -> list[StoredRound]:
        """The committed rounds from `first` to `last`, ascending, at most `limit`."""
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...


class Queue(Protocol):
    """What is told to the store, whose own thread writes it."""

    @property
    def committed(self) -> int:
        """The newest number on disk."""
        ...

    @property
    def head(self) -> str | None:
        """The newest signed head of the chain, for platforms that take it; None while there is none."""
        ...

    def subscribe(self) -> int:
        """An eventfd that is written after each commit."""
        ...

    def unsubscribe(self, descriptor: int) -> None:
        """Ends a subscription and closes its eventfd."""
        ...

    def begin_cursor(self, uplink: str) -> Ranges:
        """The set last kept for this uplink; a new one owes the rounds to come."""
        ...

    def keep_cursor(self, uplink: str, ranges: Ranges) -> Ranges:
        """Keeps the set with a coming commit; gives it back with what changed behind the uplink's back."""
        ...

    def park(self, uplink: str, number: int, reason: str) -> None:
        """Sets a round aside that the platform rejects, with its reason."""
        ...

    def has_parked(self, uplink: str) -> bool:
        """Whether rounds of this uplink are set aside."""
        ...


class DeliverySettings(Protocol):
    """What every uplink's settings say to the forwarder."""

    @property
    def reconnect_max_ms(self) -> int:
        """The longest wait between two attempts to connect."""
        ...
