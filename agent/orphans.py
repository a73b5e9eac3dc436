"""Faults that nobody would end any more: what they are about is configured no longer, or nobody looks after it now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from agent.faults import FaultCode
from agent.settings import Config
from agent.store.faults import OpenFault

_OF_INTAKES = frozenset({FaultCode.QUARTER_DUE, FaultCode.UPLOAD_RATE_LOW})  # without any, nobody watches
_OF_POLLS = "METER-"


def orphaned(faults: Iterable[OpenFault], config: Config) -> Iterator[OpenFault]:
    """Those of them that are to end when `config` is taken up; of codes that another version knew, too."""
    known: Mapping[str, Collection[str]] = {
        "meter": {*config.meters, *config.manual},
        "line": {each.line for each in config.meters.values()},  # one without meters is not polled
        "uplink": config.uplinks,
        "intake": config.intakes,
        "thread": (),  # a new process has new threads
    }
    for fault in faults:
        kind, _, name = fault.place.partition("/")
        is_gone = kind in known and name not in known[kind]
        is_read_by_people = kind == "meter" and name in config.manual and fault.code.startswith(_OF_POLLS)
        is_unwatched = fault.code in _OF_INTAKES and not config.intakes
        if is_gone or is_read_by_people or is_unwatched or fault.code not in set(FaultCode):
            yield fault
