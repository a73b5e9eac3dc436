"""`qushui explain FIGURE`: where a number came from, down to the bytes that a meter sent."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent import page
from agent.bookkeeping import intake_of
from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.config import PROFILES, load
from agent.declaring import store_refusal
from agent.decoding import Decoding
from agent.explaining import Explaining, Node, NotExplainedError
from agent.form.problems import FormErrors
from agent.messages import Messages, place_text
from agent.profiles import Library
from agent.quantities import QUANTITIES
from agent.reports.wording import number
from agent.store.book import Intake
from agent.store.book_reader import BookReader
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.explain"
_MINUTE_MS = 60_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("figure", help="explain.figure")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--deep", action="store_true", help="explain.deep_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 where there is no such figure or no database; 2 for what cannot be one."""
    site = site_of(arguments.config)
    library = Library(drivers=DRIVERS, directories=(arguments.config.parent / PROFILES,))
    try:
        with closing(BookReader(site.store)) as book:
            explaining = Explaining(
                book,
                Decoding(library, DRIVERS),
                zone=site.timezone,
                software=version("qushui"),
                intake=lambda name: _intake(arguments.config, name),
            )
            tree = explaining.explained(arguments.figure, deep=arguments.deep)
    except NotExplainedError as error:
        print(out.text(f"explain.wrong.{error.code}", **error.arguments), file=sys.stderr)
        return 2 if error.code in {"not_understood", "no_time", "no_period"} else 1
    except (OSError, sqlite3.Error) as error:
        print(store_refusal(error, site, out), file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(tree, ensure_ascii=False, indent=1))
    else:
        print("\n".join(_Telling(out, site).lines(tree, 0)))
    return 0


def _intake(config: Path, name: str) -> Intake | None:
    """An intake as it is configured; None where it is not, or the configuration is wrong."""
    try:
        found = load(config, drivers=DRIVERS, uplink_settings=settings_models()).intakes.get(name)
    except FormErrors:
        return None
    return None if found is None else intake_of(found)


class _Telling:
    """A tree in words; each level is indented by two more."""

    def __init__(self, out: Messages, site: Site) -> None:
        self._out = out
        self._site = site

    def lines(self, node: Node, depth: int) -> Iterator[str]:
        """The lines of a node and of all it rests on."""
        tellers: Mapping[str, Callable[[Node], Iterator[str]]] = {
            "round": self._round,
            "gone": self._gone,
            "period": self._period,
            "closing": self._closing,
            "declaration": self._declaration,
            "again": self._again,
            "told": self._first_told,
        }
        head, *rest = tellers[node["kind"]](node)
        yield from self._fitted(head, 2 * depth)
        for text in rest:
            yield from self._fitted(text, 2 * depth + 2)
        for each in node.get("rests_on", ()):
            yield from self.lines(each, depth + 1)

    def _fitted(self, text: str, indent: int) -> Iterator[str]:
        for line in page.wrapped(text.rstrip(), max(20, self._out.width - indent)):
            yield " " * indent + line

    def _text(self, key: str, **arguments: object) -> str:
        return self._out.text(f"explain.{key}", **arguments)

    def _at(self, at_ms: int | None) -> str:
        return self._site.local(at_ms) or self._text("no_date")

    def _round(self, node: Node) -> Iterator[str]:
        origin = self._text(f"origin.{node['origin']}")
        yield self._text("round", id=node["id"], meter=node["meter"], at=self._at(node["at_ms"]), origin=origin)
        if "outdated" in node:
            yield self._text("outdated", figure=node["outdated"]["figure"])
            yield from map(self._because, node["outdated"]["because"])
        yield from self._values(node)
        yield from self._revised(node)
        if "exchanges" in node:
            yield from self._frames(node)
        if "entered" in node:
            yield from self._entered(node["entered"])
        if "proof" in node:
            yield from self._derived(node)
        yield self._seal(node["seal"])

    def _values(self, node: Node) -> Iterator[str]:
        for name, told in node["values"].items():
            quality = " · ".join(map(self._flag, dict.fromkeys(told["quality"])))
            unit = QUANTITIES[name].unit if name in QUANTITIES else ""
            key = "missing" if told["value"] is None else "value"
            value = self._flags(told["value"]) if isinstance(told["value"], list) else told["value"]
            shown = {"value": value, "unit": unit, "quality": quality}
            yield self._text(key, quantity=self._out.quantity(name), **shown)

    def _again(self, node: Node) -> Iterator[str]:
        """What stands in place of a reading that was told and is not told again."""
        yield self._text("again", intake=node["intake"], at=self._at(node["at_ms"]))
        yield from self._values(node)
        if not node["values"]:
            yield self._text("again_not_shown")
        yield from self._revised(node)
        if "proof" in node:
            yield from self._derived(node)

    def _first_told(self, node: Node) -> Iterator[str]:
        yield self._text("first_told", id=node["id"], at=self._at(node["at_ms"]))
        yield from self._values(node)
        yield self._seal(node["seal"])

    def _revised(self, node: Node) -> Iterator[str]:
        """Why a figure is not what it was at first."""
        if "revised" not in node:
            return
        for number_, volume in enumerate(node["revised"]["earlier_m3"], 1):
            yield self._text("earlier", revision=number_, volume=_plain(volume))
        yield from map(self._because, node["revised"]["because"])
        if not node["revised"]["because"]:
            yield self._text("because_of_settings")

    def _because(self, node: Node) -> str:
        return self._text("because", declaration=self._declared(node), entered=self._at(node["entered_ms"]))

    def _seal(self, seal: Mapping[str, Any] | None) -> str:
        return self._text("not_sealed") if seal is None else self._text("seal", **seal)

    def _frames(self, node: Node) -> Iterator[str]:
        told = {"profile": node["profile"], "version": node["profile_version"]}
        yield self._text("read_with", protocol=node["protocol"], address=node["address"], **told)
        for exchange in node["exchanges"]:
            yield self._text("sent", hex=page.spaced_hex(exchange["request"]))
            yield self._text("received", hex=page.spaced_hex(exchange["reply"]))
        if not node["profile_known"]:
            yield self._text("profile_gone", **told)
        for each in node.get("decoded", ()):
            yield from self._decoded(each)

    def _decoded(self, node: Node) -> Iterator[str]:
        """How bytes become a quantity."""
        is_status = False
        for item in node["items"]:
            key = {"part": "item_scaled", "factor": "item_factor"}.get(item["role"], "item")
            key = "item" if item.get("scale") == "1" else key
            key = key if item["bytes"] else "item_missing"
            yield self._text(key, **{**item, "bytes": page.spaced_hex(item["bytes"])})
            is_status = item["role"] == "flags"
        if node["value"] is None:
            value = " · ".join(map(self._flag, node["reasons"]))
        else:
            value = self._flags(node["value"].split()) if is_status else node["value"]
        told = {"quantity": self._out.quantity(node["quantity"]), "value": value}
        is_plain = is_status or (node["scale"], node["offset"]) == ("1", "0")
        yield self._text("decoded_plain" if is_plain else "decoded", scale=node["scale"], offset=node["offset"], **told)

    def _flags(self, flags: Iterable[str]) -> str:
        return " ".join(map(self._out.flag, flags)) or self._out.text("read.no_flags")

    def _entered(self, body: Mapping[str, Any]) -> Iterator[str]:
        quantity = self._out.quantity(body.get("quantity", ""))
        yield self._text("entered", who=body.get("who", ""), quantity=quantity, value=body.get("value", ""))
        for photo in body.get("photo", ()):
            yield self._text("photo", file=photo.get("file", ""), sha256=photo.get("sha256", ""))

    def _derived(self, node: Node) -> Iterator[str]:
        proof = node["proof"]
        settings = {"intake": node["intake"], "code": node["code"], "settings": node["settings_version"]}
        yield self._text("derived", software=node["software"], **settings)
        if "volume" in proof:
            amounts = {name: proof.get(name, "-") for name in ("volume", "energy", "pumping", "u")}
            yield self._text("interval", **amounts)
        for meter, shown in proof.get("registers", {}).items():
            if "multiplier" in shown:
                ends = {"begin": shown["from"], "end": shown["to"], "multiplier": shown["multiplier"]}
                yield self._text("register", meter=meter, **ends)
        if proof.get("flags"):
            yield self._text("flags", flags=" · ".join(map(self._flag, dict.fromkeys(proof["flags"]))))
        yield from map(self._coefficient, node["coefficients"])
        yield from (self._declared(each) for each in node["declarations"])

    def _flag(self, word: str) -> str:
        reason = self._out.reason(word)
        return word if reason == word else f"{word} {reason}"

    def _coefficient(self, node: Node) -> str:
        told = {"name": node["name"], "who": node.get("who", "-"), "at": self._at(node.get("at_ms"))}
        if "volume_m3" in node:
            return self._text("coefficient_used", volume=_plain(node["volume_m3"]), **told)
        return self._text("coefficient", **told)

    def _declared(self, node: Node) -> str:
        about = self._out.text(f"report.kind.{node['about']}")
        place = place_text(self._out, node["subject"])
        return self._text("declaration", about=about, subject=place, at=self._at(node["at_ms"]), who=node["who"],
                          id=node["id"])  # fmt: skip

    def _declaration(self, node: Node) -> Iterator[str]:
        yield self._declared(node)

    def _gone(self, node: Node) -> Iterator[str]:
        yield self._text("gone", id=node["id"])
        if node["sha256"]:
            yield self._text("gone_hash", hash=node["sha256"])
        yield self._seal(node["seal"])

    def _period(self, node: Node) -> Iterator[str]:
        ends = {"begin": self._at(node["begin_ms"]), "end": self._at(node["end_ms"])}
        yield self._text(
            "period", intake=node["intake"], period=node["period"], volume=_plain(node["volume_m3"]), **ends
        )
        if not node["is_known"]:
            yield self._text("period_unknown")
        yield from map(self._coefficient, node["coefficients"])
        yield from (self._declared(each) for each in node["declarations"])
        for each in node["frozen"]:
            told = {name: each[name] for name in ("version", "who", "sha256", "software")}
            yield self._text("frozen", at=self._at(each["at_ms"]), volume=_plain(each["voucher_m3"]), **told)

    def _closing(self, node: Node) -> Iterator[str]:
        method = self._out.text(f"report.boundary.{node['method']}")
        told = {"at": self._at(node["at_ms"]), "volume": _plain(node["volume_m3"]), "revision": node["revision"]}
        yield self._text("closing", method=method, **told)
        if node["offset_ms"]:
            yield self._text("closing_offset", minutes=f"{node['offset_ms'] / _MINUTE_MS:.1f}")
        if node["bracket_ms"]:
            yield self._text("closing_bracket", minutes=f"{node['bracket_ms'] / _MINUTE_MS:.1f}")
        yield from self._revised(node)


def _plain(text: str | None) -> str:
    """A decimal text without trailing zeros; "-" for None."""
    return "-" if text is None else number(Decimal(text))
