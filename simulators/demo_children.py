"""The demo's processes: started so that none of them outlives the demo, whatever ends it."""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

_PR_SET_PDEATHSIG = 1  # prctl(2): the signal a child gets when its parent dies
_ROOT = Path(__file__).resolve().parent.parent
_LIBC = ctypes.CDLL(None)
_KILL_AFTER_S = 5.0


class Child:
    """One Python module running in `directory`; what it says on stderr lies in `NAME.log` there.

    It has a process group of its own, so that Ctrl-C reaches the demo alone and things end in the right order.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str], directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        search = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [sys.executable, "-m", module, *arguments],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": search},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                process_group=0,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - nothing but one system call, prepared before the fork
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(_KILL_AFTER_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def order(self, found: dict[str, Any]) -> None:
        """Writes an order to its stdin; a child that has ended gets none."""
        if self.is_running and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(found) + "\n")
            self._process.stdin.flush()

    def terminate(self) -> None:
        """Asks it to end."""
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, patience_s: float) -> int:
        """Asks it to end, kills it after `patience_s`, and waits for what it said last; its exit status."""
        self.terminate()
        try:
            status = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join(_KILL_AFTER_S)
        return status

    def _read(self) -> None:
        """Takes its events from stdout; lines that are none are the daemon's prints and go nowhere."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self.events.put(json.loads(line))


def told(module: str, arguments: Sequence[str], directory: Path, *, patience_s: float) -> tuple[int, str]:
    """Runs a module to its end in `directory`: its exit status and what it said last, on stdout or stderr."""
    search = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(  # noqa: S603 - our own interpreter and modules
        [sys.executable, "-m", module, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": search},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=patience_s,
        check=False,
    )
    return done.returncode, (done.stderr or done.stdout).strip()


def _die_with_parent() -> None:
    """By a signal that nothing can hold up: without the demo nobody waits for an orderly end."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
