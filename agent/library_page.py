"""The page of all meters the package carries, in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agent.messages import Messages
from agent.settings import Profile

_COLUMNS = ("profile", "title_column", "protocol", "quantities", "tested", "unconfirmed")


def library_page(profiles: Iterable[Profile], messages: Messages) -> str:
    """One table each of water, electricity and other meters, by name."""
    text = messages.text
    waiting = sorted(profiles, key=lambda profile: profile.name)
    parts = [f"# {text('meters_page.title')}", text("reference.generated"), text("meters_page.intro")]
    for kind, belongs in _KINDS.items():
        found = [profile for profile in waiting if belongs(profile)]
        waiting = [profile for profile in waiting if not belongs(profile)]
        if found:
            heading = text(f"meters_page.{kind}", count=len(found))
            parts += [f"## {heading}", _table(found, messages)]
    return "\n\n".join(parts) + "\n"


def _measures(*prefixes: str) -> Callable[[Profile], bool]:
    return lambda profile: any(entry.quantity.startswith(prefixes) for entry in profile.entries)


_KINDS: dict[str, Callable[[Profile], bool]] = {
    "electricity": _measures("energy_"),
    "water": _measures("volume_", "flow_", "level", "depth_"),
    "other": lambda _: True,
}


def _table(profiles: Sequence[Profile], messages: Messages) -> str:
    head = [messages.text(f"meters_page.{column}") for column in _COLUMNS]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for each in profiles:
        cells = (
            f"`{each.name}`",
            each.title[messages.lang],
            each.protocol,
            " ".join(f"`{entry.quantity}`" for entry in each.entries),
            messages.text(f"cli.profiles.by.{each.tested}"),
            each.unconfirmed.get(messages.lang, "–"),
        )
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)
