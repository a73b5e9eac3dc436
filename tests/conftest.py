"""What every test leaves behind as it found it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest
import structlog

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: processes of tests would be deaf to it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logs_restored() -> Iterator[None]:
    """A command that ran in this process set the logs up, with the standard error of its own test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
