"""From verdicts to findings with beginning and end: one open finding per rule, subject and quantity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from agent.derive.flags import Qartod
from agent.intakes.outcome import Found
from agent.rules.table import Limits

_NOTHING: Mapping[str, str] = MappingProxyType({})
NOTICE = Qartod.PASS
"""The level of a finding that only announces something; the reading is as good as before."""


class Verdict(NamedTuple):
    """What a rule says about one value, interval or day, at UTC ms `at_ms`.

    `holds`: its condition is there, with this level (PASS: a notice). `since_ms` is when it began, where the rule knows
    better than `at_ms`; `number` the round that shows it, where that is not the one just heard. `is_certain`: seen once
    is often enough.
    """

    rule: str
    subject: str
    quantity: str
    at_ms: int
    level: Qartod
    holds: bool
    evidence: Mapping[str, str] = _NOTHING
    since_ms: int | None = None
    number: int | None = None
    is_certain: bool = False


def passed(rule: str, subject: str, quantity: str, at_ms: int) -> Verdict:
    """The condition was looked for and is not there."""
    return Verdict(rule, subject, quantity, at_ms, Qartod.PASS, holds=False)


def not_judged(rule: str, subject: str, quantity: str, at_ms: int) -> Verdict:
    """There was nothing to judge: neither begins a finding nor ends one."""
    return Verdict(rule, subject, quantity, at_ms, Qartod.NOT_EVALUATED, holds=False)


@dataclass(slots=True)
class Episode:
    """A condition that holds, or held until less than the hold-off ago. Open once it was seen often enough.

    `level` is the worst that it reached, `now` what the last verdict said.
    """

    level: int
    began_ms: int
    number: int
    evidence: Mapping[str, str]
    seen: int = 0
    is_open: bool = False
    now: int = NOTICE
    absent_ms: int | None = None


@dataclass(slots=True)
class Episodes:
    """All of an intake's, by `rule|subject|quantity`."""

    by_key: dict[str, Episode] = field(default_factory=dict)

    def take(self, verdict: Verdict, limits: Limits, number: int) -> Found | None:
        """The finding that begins, worsens or ends with this verdict, if any; `number` is the round just heard."""
        if verdict.level == Qartod.NOT_EVALUATED:
            return None
        key = f"{verdict.rule}|{verdict.subject}|{verdict.quantity}"
        episode = self.by_key.get(key)
        if not verdict.holds:
            return None if episode is None else self._absent(key, episode, verdict, limits)
        shown = number if verdict.number is None else verdict.number
        if episode is None:
            began_ms = verdict.at_ms if verdict.since_ms is None else verdict.since_ms
            episode = self.by_key[key] = Episode(verdict.level, began_ms, shown, verdict.evidence)
        episode.absent_ms, episode.now = None, verdict.level
        episode.number = max(episode.number, shown)
        needed = 1 if verdict.is_certain or limits.rule.counts_itself else limits.min_samples
        episode.seen = min(episode.seen + 1, needed)
        is_worse = _rank(verdict.level) > _rank(episode.level)
        if is_worse:
            episode.level, episode.evidence = verdict.level, verdict.evidence
        if episode.seen < needed or (episode.is_open and not is_worse):
            return None
        episode.is_open = True
        return _found(verdict, episode, limits, None)

    def ended(self, limits: Mapping[str, Limits], subjects: Collection[str], at_ms: int) -> list[Found]:
        """Ends what no verdict can end any more: of rules that are switched off, about what is configured no longer."""
        found = []
        for key, episode in list(self.by_key.items()):
            rule, subject, quantity = key.split("|", 2)
            if limits[rule].enabled and subject in subjects:
                continue
            del self.by_key[key]
            if episode.is_open:
                verdict = passed(rule, subject, quantity, at_ms)
                found.append(_found(verdict, episode, limits[rule], max(at_ms, episode.began_ms)))
        return found

    def levels(self) -> dict[str, int]:
        """What each rule's open findings said last, the worst of them."""
        found: dict[str, int] = {}
        for key, episode in self.by_key.items():
            if episode.is_open:
                rule = key.partition("|")[0]
                found[rule] = max(found.get(rule, NOTICE), int(episode.now), key=_rank)
        return found

    def _absent(self, key: str, episode: Episode, verdict: Verdict, limits: Limits) -> Found | None:
        if not episode.is_open:
            del self.by_key[key]
            return None
        episode.now = NOTICE
        if episode.absent_ms is None:
            episode.absent_ms = verdict.at_ms
        if verdict.at_ms - episode.absent_ms < limits.hold_off_ms:
            return None
        del self.by_key[key]
        return _found(verdict, episode, limits, max(episode.absent_ms, episode.began_ms))


def _rank(level: int) -> int:
    """How bad: a notice, suspect, failed, missing."""
    return (Qartod.PASS, Qartod.SUSPECT, Qartod.FAIL, Qartod.MISSING).index(Qartod(level))


def _found(verdict: Verdict, episode: Episode, limits: Limits, ended_ms: int | None) -> Found:
    return Found(
        rule=verdict.rule,
        version=limits.rule.version,
        subject=verdict.subject,
        quantity=verdict.quantity,
        began_ms=episode.began_ms,
        ended_ms=ended_ms,
        level=int(episode.level),
        number=episode.number,
        evidence={**limits.told, **episode.evidence},
    )
