"""Topic filters: which are well-formed and what they cover. Pure.

Source: OASIS MQTT 5.0 (2019), section 4.7.
"""

from __future__ import annotations


def is_valid_filter(text: str) -> bool:
    """Whether a topic filter keeps the rules for `+` and `#`. Source: §4.7.1."""
    levels = text.split("/")
    return (
        bool(text)
        and all(part in {"+", "#"} or not ("+" in part or "#" in part) for part in levels)
        and "#" not in levels[:-1]
    )


def matches(filter_text: str, topic: str) -> bool:
    """Whether a valid filter covers the topic; wildcards in front leave out `$…` topics. Source: §4.7.1, §4.7.2."""
    wanted, given = filter_text.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for place, part in enumerate(wanted):
        if part == "#":
            return True
        if place >= len(given) or part not in {"+", given[place]}:
            return False
    return len(given) == len(wanted)
