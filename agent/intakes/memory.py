"""Everything that an account remembers, as one immutable value that goes through its text digit for digit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from agent.derive.exact import OutOfDomain
from agent.derive.text import from_text, to_text
from agent.derive.uncertainty import Groups, together
from agent.intakes.closing import Closing
from agent.intakes.comparing import Comparison
from agent.intakes.counting import Counting
from agent.intakes.sources import CHECK, Ran
from agent.intakes.track import Totals, Track

FORM = 1  # of the text; a later form is not read by an earlier program


class Flow(NamedTuple):
    """The flow through one register, m³/h, when it was told (UTC ms), and what is said about it."""

    value_m3h: Decimal | None
    at_ms: int
    reasons: tuple[str, ...]


_NO_TRACKS: Mapping[str, Track] = MappingProxyType({})
_NO_FLOWS: Mapping[str, Flow] = MappingProxyType({})
_NO_PUMPS: Mapping[str, Ran] = MappingProxyType({})
_NO_SUMS: Groups = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """`number` and `heard_ms` are the last round's and the latest time heard; `known` the ids of the declarations that
    count already; `tracks` the registers by key; `retired` what registers gave that are no longer of the intake.
    """

    form: int = FORM
    number: int = 0
    heard_ms: int | None = None
    known: tuple[int, ...] = ()
    tracks: Mapping[str, Track] = field(default_factory=lambda: _NO_TRACKS)
    flows: Mapping[str, Flow] = field(default_factory=lambda: _NO_FLOWS)
    running: Mapping[str, Ran] = field(default_factory=lambda: _NO_PUMPS)
    comparison: Comparison = field(default_factory=Comparison)
    retired: Totals = field(default_factory=Totals)
    retired_tally: Groups = field(default_factory=lambda: _NO_SUMS)
    closing: Closing = field(default_factory=Closing)
    counting: Counting = field(default_factory=Counting)
    rules: str | None = None

    def to_text(self) -> str:
        """As one line of JSON."""
        return to_text(self)

    def knows(self, declaration: int) -> Memory:
        """With one more declaration that counts."""
        return replace(self, known=tuple(sorted({*self.known, declaration})))

    def with_rules(self, rules: str | None) -> Memory:
        """With what the rules remember."""
        return replace(self, rules=rules)

    def rewound(self, at_ms: int) -> Memory:
        """After times that were wrong: hours close and readings are expected anew from here, all water stays."""
        return replace(
            self,
            heard_ms=at_ms,
            tracks={key: track.rewound() for key, track in self.tracks.items()},
            closing=Closing(),
            counting=self.counting.rewound(at_ms),
        )

    def kept(self, keys: Collection[str]) -> Memory:
        """With the registers of these keys only; the water of the others stays in the total."""
        gone = {key: track for key, track in self.tracks.items() if key not in keys}
        if not gone:
            return self
        retired, tallies = self.retired, [self.retired_tally]
        for key, track in gone.items():
            if not key.startswith(CHECK):
                retired = retired.plus(track.totals)
                tallies.append(track.tally)
        return replace(
            self,
            tracks={key: track for key, track in self.tracks.items() if key in keys},
            flows={key: flow for key, flow in self.flows.items() if key in keys},
            retired=retired,
            retired_tally=together(tallies),
        )


def memory_of(text: str) -> Memory:
    """The memory that `to_text` wrote. Raises: OutOfDomain when it is of another form, or none at all."""
    try:
        memory = from_text(Memory, text)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise OutOfDomain("state", text[:40], "the text of an account's state") from error
    if memory.form != FORM:
        raise OutOfDomain("form", memory.form, str(FORM))
    return memory
