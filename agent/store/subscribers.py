"""Who wants to know of each commit: event descriptors that a thread can wait on."""

from __future__ import annotations

import contextlib
import os


class Subscribers:
    """Non-blocking eventfds; they belong to this object."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def add(self) -> int:
        """One more, written after each commit; closed with the store."""
        descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._descriptors.append(descriptor)
        return descriptor

    def remove(self, descriptor: int) -> None:
        """Closes what `add` gave."""
        self._descriptors.remove(descriptor)
        os.close(descriptor)

    def wake(self) -> None:
        """Writes to all."""
        for descriptor in self._descriptors:
            with contextlib.suppress(BlockingIOError):  # it is full of commits nobody has read: it wakes all the same
                os.eventfd_write(descriptor, 1)

    def close(self) -> None:
        """Closes all."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
