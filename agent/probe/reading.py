"""Reads a range of registers or data identifiers of one meter, as far as the meter has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.clock import Clock
from agent.line.asking import Asking, Heard, Whom
from drivers.contract import Ask, BadChecksum, Refusal, Refused, WireError
from drivers.views import rtu_frame

_TRIES = 2
_SILENT_TO_GIVE_UP = 2


@dataclass(slots=True, kw_only=True)
class Probed:
    """What came: `exchanges` are answered questions as frames of a serial line, `refused` how many the meter would not
    answer; `is_silent` or `error` why the rest was not asked.
    """

    exchanges: list[tuple[bytes, bytes]] = field(default_factory=list)
    refused: int = 0
    error: WireError | None = None
    is_silent: bool = False


def probed(asks: Sequence[Ask], whom: Whom, asking: Asking, *, clock: Clock, wait_s: float) -> Probed:
    """Asks all of `asks`, narrower where the meter refuses. Raises LineDownError."""
    found = Probed()
    waiting = list(asks)
    silent = 0
    while waiting and silent < _SILENT_TO_GIVE_UP:
        ask = waiting.pop(0)
        heard = _asked(ask, whom, asking, wait_s)
        if heard.reply is not None:
            silent = 0
            frames = heard.request, heard.reply.frame
            found.exchanges.append((rtu_frame(asking.framing, frames[0]), rtu_frame(asking.framing, frames[1])))
        elif isinstance(heard.error, Refused) and heard.error.kind is not Refusal.ABSENT:
            parts = ask.parts()
            found.refused += len(parts) == 1
            waiting = [*(parts if len(parts) > 1 else ()), *waiting]
        else:
            silent += 1
            found.error, found.is_silent = heard.error, heard.error is None
            clock.pause(wait_s)  # a late answer must not be taken for that of the next question
    return found


def _asked(ask: Ask, whom: Whom, asking: Asking, wait_s: float) -> Heard:
    heard = asking.ask(ask, whom, wait_s=wait_s)
    for _ in range(_TRIES - 1):
        if not isinstance(heard.error, BadChecksum):
            break
        heard = asking.ask(ask, whom, wait_s=wait_s)
    return heard
