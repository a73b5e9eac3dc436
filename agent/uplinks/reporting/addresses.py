"""Main and backup address of a centre: when to go over to the other one, and when to try the main one again. Pure."""

from __future__ import annotations

from collections.abc import Sequence

FAILURES = 3  # attempts in a row before the other address is tried
RETURN_S = 600.0  # on the backup: how often the main address is tried again


class Addresses:
    """Which address is in use."""

    def __init__(self, addresses: Sequence[tuple[str, int]]) -> None:
        self._addresses = tuple(addresses)
        self._at = 0
        self._failures = 0
        self._backup_s = 0.0

    @property
    def now(self) -> tuple[str, int]:
        """The one to connect to."""
        return self._addresses[self._at]

    @property
    def main(self) -> tuple[str, int]:
        """The first one."""
        return self._addresses[0]

    @property
    def is_backup(self) -> bool:
        """Whether the one in use is not the main one."""
        return self._at > 0

    def failed(self, now_s: float) -> None:
        """An attempt came to nothing, or a connection ended before anything was acknowledged on it."""
        self._failures += 1
        if self._failures >= FAILURES and len(self._addresses) > 1:
            self._at = (self._at + 1) % len(self._addresses)
            self._failures = 0
            self._backup_s = now_s

    def proved(self) -> None:
        """The address in use works."""
        self._failures = 0

    def wants_main(self, now_s: float) -> bool:
        """Whether it is time to try the main address again."""
        return self.is_backup and now_s >= self._backup_s + RETURN_S

    def tried_main(self, now_s: float, *, works: bool) -> None:
        """The main address was tried from the backup."""
        self._backup_s = now_s
        if works:
            self._at = self._failures = 0
