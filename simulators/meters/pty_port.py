"""A pseudo-terminal that stands for a serial port: the client opens its link, we hold the other end.

The client's end is also kept open here, so that clients may close and open it without disturbing us.
"""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from pathlib import Path

_BAUD_OF = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name.startswith("B") and name[1:].isdigit()
}
_OUTPUT_SPEED = 5  # index in tcgetattr's list
_READ_BYTES = 4096


class PtyPort:
    """An open pseudo-terminal with a symbolic link at `path` to the end that clients open.

    Raises:
        OSError: no pseudo-terminal or no link could be made; FileExistsError when `path` is something else than a link.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._master, self._slave = os.openpty()
        try:
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self._target = os.ttyname(self._slave)
            _replace_link(path, self._target)
        except OSError:
            self._close_ends()
            raise

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._master

    def baud(self) -> int:
        """The rate the client has set; a pseudo-terminal begins with 38400."""
        return _BAUD_OF.get(termios.tcgetattr(self._master)[_OUTPUT_SPEED], 0)

    def read(self) -> bytes:
        """What the client wrote; empty when there is nothing."""
        try:
            return os.read(self._master, _READ_BYTES)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        """Gives the client `data`. What a client does not read for 4 kB is lost, as on a real port."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)

    def close(self) -> None:
        """Removes the link if it still is ours, and hangs up."""
        with contextlib.suppress(OSError):
            if str(self.path.readlink()) == self._target:
                self.path.unlink()
        self._close_ends()

    def _close_ends(self) -> None:
        os.close(self._slave)
        os.close(self._master)


def _replace_link(path: Path, target: str) -> None:
    """Puts the link there in one step; a client never finds a gap."""
    if path.exists() and not path.is_symlink():
        raise FileExistsError(f"{path} exists and is no link")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(path)
