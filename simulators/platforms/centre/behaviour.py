"""How a simulated centre answers reports: words in, one small description of an acknowledgement out. Pure.

A plan is a list of acknowledgements that each station goes through in turn, report by report, repeats included:
`esc` always the same; `never,late:3,normal` three kinds in turn; `late:3+empty` two changes to one acknowledgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from simulators.platforms.centre.refusals import OrderError

_TIMED = MappingProxyType({"late": "late_s", "again": "again_s"})
_LONGEST_S = 3600.0
_MOST = 1000  # acknowledgements in a plan


class Protocol(StrEnum):
    """What a centre speaks."""

    SL651 = "sl651"
    SZY206 = "szy206"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """One acknowledgement and what is wrong with it; `words` are those it was asked for by.

    `end` EOT, ESC or ACK, "" the centre's usual one. `again_s`: the same comes once more, so long behind it. `serial`
    own, wrong, previous, or none (a body of length zero). `pieces` whole, bytes or parts. `glue` what shares its
    segment: "", "ack" or "query". `ruin` a field that is wrong: "", "crc", "password", "address" or "fcb". `ends`: in
    the middle of it the connection is closed or reset.
    """

    words: str = "normal"
    answers: bool = True
    end: str = ""
    late_s: float = 0.0
    again_s: float | None = None
    serial: str = "own"
    pieces: str = "whole"
    glue: str = ""
    ruin: str = ""
    ends: str = ""
    is_refusal: bool = False
    is_tagged: bool = False

    @property
    def settles(self) -> bool:
        """Whether a station may take it as its report's acknowledgement; a wrong FCB says nothing (§2.3)."""
        is_sound = self.ruin in {"", "fcb"} and not self.ends and not self.is_refusal
        return self.answers and is_sound and self.serial in {"own", "none"}

    @property
    def settles_previous(self) -> bool:
        """Whether it acknowledges, soundly, the report before instead."""
        return self.serial == "previous" and replace(self, serial="own").settles


NORMAL: Final = Ack()
Plan = tuple[Ack, ...]

_BOTH: Mapping[str, Mapping[str, Any]] = {
    "normal": {},
    "never": {"answers": False},
    "late": {"late_s": 2.0},
    "again": {"again_s": 2.0},
    "glued": {"glue": "ack"},
    "glued-query": {"glue": "query"},
    "split": {"pieces": "bytes"},
    "parts": {"pieces": "parts"},
    "bad-crc": {"ruin": "crc"},
    "wrong-address": {"ruin": "address"},
    "close": {"ends": "close"},
    "reset": {"ends": "reset"},
}
_OWN: Mapping[Protocol, Mapping[str, Mapping[str, Any]]] = {
    Protocol.SL651: {
        "eot": {"end": "EOT"},
        "esc": {"end": "ESC"},
        "ack": {"end": "ACK"},
        "wrong-serial": {"serial": "wrong"},
        "previous-serial": {"serial": "previous"},
        "empty": {"serial": "none"},
        "wrong-password": {"ruin": "password"},
        "nak": {"is_refusal": True},
    },
    Protocol.SZY206: {"with-tp": {"is_tagged": True}, "wrong-fcb": {"ruin": "fcb"}},
}
STYLES: Mapping[Protocol, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {protocol: MappingProxyType({**_BOTH, **own}) for protocol, own in _OWN.items()}
)


def plan_of(text: str, protocol: Protocol) -> Plan:
    """The plan that `text` describes. Raises OrderError."""
    found = tuple(_ack(words.strip(), protocol) for words in text.split(","))
    if len(found) > _MOST:
        raise OrderError("ack-many", count=len(found), limit=_MOST)
    return found


def _ack(words: str, protocol: Protocol) -> Ack:
    ack = Ack(words=words)
    styles = STYLES[protocol]
    for word in words.split("+"):
        name, _, seconds = word.partition(":")
        if name not in styles:
            raise OrderError("ack-style", value=word, known=", ".join(styles))
        if seconds and name not in _TIMED:
            raise OrderError("ack-seconds", value=word)
        ack = replace(ack, **styles[name])
        if seconds:
            at: Mapping[str, Any] = {_TIMED[name]: _seconds(name, seconds)}
            ack = replace(ack, **at)
    return ack


def _seconds(name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= _LONGEST_S:
        raise OrderError("seconds", name=name, value=text, limit=round(_LONGEST_S))
    return found
