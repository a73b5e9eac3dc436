"""Room set aside for the day the disk is full.

Strategy: a full disk blocks deleting and checkpoints too. So a file of zeros lies beside the database, to be unlinked
then: large enough to move a whole log into the file, which is why the log is kept shorter than it. Once it is spent
nothing may grow until there is room for it again; retention sees to that.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.store.database import LOG_BYTES, side

_MOST_BYTES = LOG_BYTES * 3 // 2
_LEAST_BYTES = 128 << 10  # less is not worth a file
_SHARE = 8  # never more than this part of what is free


class Reserve:
    """The file and whether it was needed; used by the thread that commits."""

    def __init__(self, path: Path) -> None:
        self._path = side(path, ".reserve")
        self._bytes = 0
        self.is_spent = False

    def keep(self) -> None:
        """Makes the file where there is none and room for it; on a disk that was full, only with room for it twice."""
        if self._path.exists():
            self._bytes = self._path.stat().st_size
            return
        free_bytes = self.free_bytes()
        if not self.is_spent:
            self._bytes = min(_MOST_BYTES, free_bytes // _SHARE)
        elif free_bytes < 2 * self._bytes:
            return
        self.is_spent = self._bytes < _LEAST_BYTES or not self._make()

    def _make(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(descriptor, 0, self._bytes)
        except OSError:
            self._path.unlink()
            return False
        finally:
            os.close(descriptor)
        return True

    def spend(self) -> bool:
        """Gives the room back to a full disk; false when it was spent before."""
        self.is_spent = True
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True

    def free_bytes(self) -> int:
        """What an unprivileged process may still write to the disk."""
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize

    def log_bytes(self) -> int:
        """How long the log may get, so that the reserve can take it in."""
        return min(LOG_BYTES, max(_LEAST_BYTES, self._bytes * 3 // 4))
