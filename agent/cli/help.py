"""`qushui help [TOPIC]`: the page of a verb, the advice of a fault, the meaning of a rule, a flag or a key; needs no
network.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator
from importlib import resources

from agent import page
from agent.derive.flags import Flag
from agent.faults import FaultCode
from agent.messages import Messages, fault_text
from agent.model import Reason
from agent.rules.faults import faults_of
from agent.rules.page import rule_lines
from agent.rules.table import RULES_BY_ID

HELP_KEY = "cli.verb.help"

_PLACES = {  # what a fault concerns, where its code does not begin with it
    "rule": "meter", "certificate": "meter",
    "coefficient": "intake", "permit": "intake", "plan": "intake", "licence": "intake", "status": "intake",
    "online": "intake", "upload": "uplink",
}  # fmt: skip
_FLAGS = tuple(dict.fromkeys([*map(str, Flag), *map(str, Reason)]))
_SECTIONS = {"lines": "line", "meters": "meter", "uplinks": "uplink", "items": "profile-item"}  # plural in the file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("topic", nargs="?", help="help.topic")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0, or 2 for a topic that has no page."""
    if arguments.topic is None:
        print("\n".join(_contents(out)))
        return 0
    found = list(pages(arguments.topic, out))
    if found:
        print("\n\n".join(found))
        return 0
    print(out.text("help.nothing", value=arguments.topic), file=sys.stderr)
    words = {each.upper(): each for each in (*topics(out), *FaultCode, *_FLAGS)}
    for each in difflib.get_close_matches(arguments.topic.upper(), words, n=1):
        print(out.text("cli.did_you_mean", value=f"qushui help {words[each]}"), file=sys.stderr)
    return 2


def pages(topic: str, out: Messages) -> Iterator[str]:
    """Everything there is about the topic."""
    code = topic.upper().replace("_", "-")
    if code in set(FaultCode):
        yield _fault(code, out)
    if code in RULES_BY_ID:
        yield from _rule(code, out)
    verb = resources.files("agent") / "docs" / "verbs" / f"{topic}.{out.lang}.md"
    if topic.isalpha() and verb.is_file():
        yield verb.read_text(encoding="utf-8").strip()
    if (flag := topic.upper().replace("-", "_")) in _FLAGS:
        yield "\n".join(_flag(flag, out))
    if fields := list(_fields(topic, out)):
        yield "\n".join(fields)


def _fault(code: str, out: Messages) -> str:
    kind = code.split("-", maxsplit=1)[0].lower()
    place = _PLACES.get(kind, kind)
    has_name = place in {"meter", "line", "uplink", "intake", "quarter"}
    named = f"{place}/{out.text('fault_page.name')}" if has_name else place
    return fault_text(out, code, named, {})


def _rule(code: str, out: Messages) -> Iterator[str]:
    """What a quality rule finds, from where on, and the advice of the faults it raises."""
    head, *lines = rule_lines(RULES_BY_ID[code], out)
    yield "\n".join([head, *(f"  {line}" for each in lines for line in page.wrapped(each, out.width - 2))])
    yield from (_fault(each, out) for each in faults_of(code))


def _flag(word: str, out: Messages) -> Iterator[str]:
    """Why a value is marked, and what to do about it where something can be done."""
    yield f"{word}  {out.reason(word)}"
    if out.has(f"help.flag.{word}"):
        yield from (f"  {line}" for line in page.wrapped(out.text(f"help.flag.{word}"), out.width - 2))


def topics(out: Messages) -> list[str]:
    """Every word that has a page."""
    verbs = (resources.files("agent") / "docs" / "verbs").iterdir()
    names = {page.name.split(".")[0] for page in verbs if page.name.endswith(f".{out.lang}.md")}
    keys = {key.rsplit(".", 1)[1] for key in out.keys() if key.startswith("field.")}  # noqa: SIM118 - not a mapping
    return sorted(names | keys)


def _fields(topic: str, out: Messages) -> Iterator[str]:
    """Each configuration or profile key of that name: `poll`, `meters.main-flow.poll`, `line.baud`."""
    *path, name = topic.split(".")
    section = _SECTIONS.get(path[0], path[0]) if path else ""
    keys = [key for key in out.keys() if key.startswith("field.")]  # noqa: SIM118 - not a mapping
    for key in sorted(key for key in keys if key.endswith(f".{name}")):
        where = key.split(".")[1]
        if where.startswith(section):
            head = f"{out.text(f'section.{where}')} · {name}"
            yield "\n".join([head, *(f"  {line}" for line in page.wrapped(out.text(key), out.width - 2))])


def _contents(out: Messages) -> Iterator[str]:
    yield out.text("help.verbs")
    for key in out.keys():  # noqa: SIM118 - not a mapping
        if key.startswith("cli.verb."):
            yield from page.labelled(key.split(".")[-1], out.text(key), indent=2, column=14, width=out.width)
    yield ""
    yield out.text("help.faults")
    for code in FaultCode:
        yield from page.labelled(code, out.text(f"fault.{code}.title"), indent=2, column=26, width=out.width)
    yield ""
    yield from page.wrapped(out.text("help.keys"), out.width)
