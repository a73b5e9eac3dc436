"""What the daemon does for a command that asks a meter through it: checks the question, puts it, tells what came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agent.control import ControlError
from agent.line.guests import Guest
from agent.line.ports import LineDownError, LineHeldError, WireSettings
from agent.poll import Poller
from drivers.raw import RawAsk
from drivers.registry import RAW

_MOST_REQUEST = 256  # bytes
_MOST_WAIT_MS = 5000
_QUEUE_S = 55.0
_BAUDS = (300, 921600)
_PARITIES = ("none", "even", "odd")
_MOST_SILENCE_MS = 10_000


@contextmanager
def line_refusals(line: str) -> Iterator[None]:
    """What goes wrong with that line becomes the refusal of the command."""
    try:
        yield
    except LineHeldError as error:
        raise ControlError("LINE_HELD", line=line, holder=error.holder, detail=error.detail) from error
    except LineDownError as error:
        raise ControlError("LINE_DOWN", line=line, detail=error.detail) from error
    except TimeoutError as error:
        raise ControlError("NO_ANSWER", waited_s=30) from error


def guest_of(arguments: dict[str, Any], *, framing: str) -> Guest:
    """The question in a command's arguments. Raises ControlError BAD_ASK for one that is none or does not only read."""
    try:
        protocol = RAW[arguments["protocol"]]
        request = bytes.fromhex(arguments["request"])
        wait_ms, silence_ms = int(arguments["wait_ms"]), int(arguments["silence_ms"])
        wire = WireSettings(
            baud=int(arguments["baud"]),
            parity=str(arguments["parity"]),
            stop_bits=int(arguments["stop_bits"]),
            extra_silence_s=silence_ms / 1000,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ControlError("BAD_ASK") from error
    is_sound = (
        0 < len(request) <= _MOST_REQUEST
        and 0 < wait_ms <= _MOST_WAIT_MS
        and 0 <= silence_ms <= _MOST_SILENCE_MS
        and _BAUDS[0] <= wire.baud <= _BAUDS[1]
        and wire.parity in _PARITIES
        and wire.stop_bits in {1, 2}
    )
    if not (is_sound and protocol.is_read(framing, request)):
        raise ControlError("BAD_ASK")
    ask = RawAsk(request, protocol.is_whole, is_numbered=framing == "tcp")
    return Guest(ask=ask, wire=wire, address=str(arguments.get("address", "")), wait_s=wait_ms / 1000)


def asked(poller: Poller, guest: Guest) -> dict[str, Any]:
    """What came, as the command answers it. Raises LineDownError, TimeoutError."""
    number, found = poller.ask(guest, _QUEUE_S)
    return {
        "number": number,
        "received": found.received.hex(),
        "delay_s": round(max(0.0, found.at_s - found.asked_s), 4),
    }
