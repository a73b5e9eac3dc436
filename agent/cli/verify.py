"""`qushui verify`: whether a database, a copy of one, an export or a voucher package is complete and unaltered."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent import page
from agent.client import DEFAULT_CONFIG, Site, site_of
from agent.export import AlteredError, NotAPackageError, Unpacked, manifest_state, unpacked
from agent.messages import Messages
from agent.package_check import BEGIN, Stray, UnopenedError
from agent.verification import Break, NoChainError, NotOursError, Stretch, Verdict, opened, verify
from agent.voucher_check import Checked, Listed, checked, is_voucher

HELP_KEY = "cli.verb.verify"
_SHOWN = 5  # breaks, stretches, heads; --json has them all
_GOOD = "GOOD"


class _WrongInputError(Exception):
    """What was typed does not say what to verify: a key of `verify.wrong.*` and its arguments."""

    def __init__(self, key: str, **arguments: object) -> None:
        super().__init__(key)
        self.key = key
        self.arguments = arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("file", nargs="?", type=Path, help="verify.file")
    parser.add_argument("--key", metavar="KEY", help="verify.key")
    parser.add_argument("--head", metavar="HEAD", help="verify.head")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.config_option")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0 complete and unaltered; 1 not, or it cannot be told; 2 for wrong arguments."""
    site = site_of(arguments.config)
    path = arguments.file or site.store
    try:
        head = None if arguments.head is None else _head(arguments.head)
        key = None if arguments.key is None else _key(arguments.key)
        if is_voucher(path):
            return _voucher(path, key, arguments, site, out)
        with _source(path) as (connection, package):
            with _progress() as progress:
                exported = None if package is None else package.exported
                verdict = verify(connection, key=key, head=head, exported=exported, progress=progress)
            if package is not None:
                _judge_package(verdict, package, key)
    except AlteredError as altered:
        verdict = Verdict(breaks=[Break("MEMBER", altered.member, 0, 0, altered.expected, altered.found)])
    except UnopenedError as error:
        verdict = Verdict(breaks=[_stray(error.stray)])
    except sqlite3.DatabaseError as error:
        verdict = Verdict(breaks=[Break("UNREADABLE", "", 0, 0, found=str(error))])
    except _WrongInputError as wrong:
        print("\n".join(page.wrapped(out.text(wrong.key, **wrong.arguments), out.width)), file=sys.stderr)
        return 2
    except PermissionError:
        print(out.text("cli.not_permitted"), file=sys.stderr)
        return 1
    except NoChainError:
        print("\n".join(page.wrapped(out.text("verify.no_chain", file=path), out.width)), file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({"file": str(path), "whole": verdict.is_whole, **told(verdict)}, indent=2))
    else:
        print("\n".join(_lines(verdict, path, site, out)))
    return 0 if verdict.is_whole else 1


def _voucher(path: Path, key: str | None, arguments: argparse.Namespace, site: Site, out: Messages) -> int:
    """The files of a voucher. They hold no chain, so a head proves nothing of them."""
    if arguments.head is not None:
        raise _WrongInputError("verify.wrong.voucher_head", file=path)
    found = checked(path, key)
    if arguments.json:
        told = {
            "packages": [each._asdict() for each in found.packages],
            "breaks": [each._asdict() for each in found.breaks],
        }
        print(json.dumps({"file": str(path), "whole": not found.breaks, **told}, ensure_ascii=False, indent=2))
    else:
        print("\n".join(_voucher_lines(found, path, key, site, out)))
    return 1 if found.breaks else 0


@contextmanager
def _source(path: Path) -> Iterator[tuple[sqlite3.Connection, Unpacked | None]]:
    """The database at `path`, or made of the package there."""
    if not path.is_file():
        raise _WrongInputError("verify.wrong.directory" if path.is_dir() else "verify.wrong.no_file", file=path)
    if not path.stat().st_size:
        raise _WrongInputError("verify.wrong.empty", file=path)
    try:
        if _is_packed(path):
            with unpacked(path) as package, opened(package.database) as connection:
                yield connection, package
        else:
            with opened(path) as connection:
                yield connection, None
    except AlteredError:
        raise
    except NotAPackageError as error:
        raise _WrongInputError("verify.wrong.package", file=path, member=error.member) from error
    except NotOursError as error:
        key = "bare" if "bare" in error.args else "file"
        raise _WrongInputError(f"verify.wrong.{key}", file=path, log=f"{path.name}-wal") from error


def _is_packed(path: Path) -> bool:
    """Whether the file is a package, or was one before its end was lost."""
    with path.open("rb") as file:
        return file.read(len(BEGIN)) == BEGIN or zipfile.is_zipfile(file)


def _judge_package(verdict: Verdict, package: Unpacked, key: str | None) -> None:
    verdict.breaks += [Break("MEMBER", wrong.member, 0, 0, wrong.expected, wrong.found) for wrong in package.wrong]
    verdict.breaks += map(_stray, package.strays)
    state = manifest_state(package.manifest, key)
    if state == _GOOD and package.manifest["key"] not in verdict.keys:
        state = "HEAD_KEY"  # signed, but by nobody whom this station's ledger knows
    if state not in {_GOOD, "NONE"}:
        verdict.breaks.append(Break(state, "manifest.json", 0, 0, "", str(package.manifest.get("key", ""))))


def _stray(found: Stray) -> Break:
    return Break(found.code, found.member, found.size, 0)


def _head(text: str) -> Mapping[str, Any]:
    """A head as JSON, or the file that holds it."""
    try:
        head = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _WrongInputError("verify.wrong.head", value=text, detail=error) from error
    if not isinstance(head, dict) or not {"seal", "hash"} <= head.keys():
        raise _WrongInputError("verify.wrong.head", value=text, detail="seal, hash")
    return head


def _key(text: str) -> str:
    """A fingerprint as we write it, or a public key in hex."""
    digits = text.replace("-", "").replace(" ", "").lower()
    if set(digits) <= set("0123456789abcdef"):
        if len(digits) == 64:  # noqa: PLR2004 - 32 bytes, RFC 8032
            return digits
        if len(digits) == 16:  # noqa: PLR2004 - as `signing.fingerprint`
            return "-".join(digits[at : at + 4] for at in range(0, 16, 4))
    raise _WrongInputError("verify.wrong.key", value=text)


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm  # type: ignore[import-untyped]  # noqa: PLC0415 - only where somebody watches

    with tqdm(unit="", unit_scale=True, leave=False) as bar:
        yield bar.update


def told(verdict: Verdict) -> dict[str, Any]:
    """What `--json` says; moments in UTC ms since 1970."""
    return {
        "rounds": {"first": verdict.first, "last": verdict.last, "stored": verdict.stored, "absent": verdict.absent,
                   "unsealed": verdict.unsealed},
        "seals": verdict.seals,
        "hash": verdict.hash,
        "unsealed_rows": verdict.unsealed_rows,
        "deleted": [each._asdict() for each in verdict.deleted],
        "salvages": [each._asdict() for each in verdict.salvages],
        "keys": verdict.keys,
        "heads": [each._asdict() for each in verdict.heads],
        "held": verdict.held or None,
        "breaks": [each._asdict() for each in verdict.breaks],
        "more_breaks": verdict.more,
    }  # fmt: skip


def _lines(verdict: Verdict, path: Path, site: Site, out: Messages) -> Iterator[str]:
    state = "whole" if verdict.is_whole else "broken" if verdict.breaks else "salvaged"
    yield from page.wrapped(out.text(f"verify.{state}", file=path), out.width)
    for found in verdict.breaks[:_SHOWN]:
        yield ""
        yield from _break_lines(found, site, out)
    more = len(verdict.breaks[_SHOWN:]) + verdict.more
    if more:
        yield out.text("verify.more", count=more)
    if verdict.seals or not verdict.breaks:  # else nothing of it could be read
        yield ""
        for name, text in _facts(verdict, site, out):
            yield from page.labelled(out.text(f"verify.fact.{name}"), text, indent=0, column=14, width=out.width)
    if verdict.is_whole:
        yield ""
        yield from page.wrapped(out.text("verify.proved" if verdict.held else "verify.advice"), out.width)


def _voucher_lines(found: Checked, path: Path, key: str | None, site: Site, out: Messages) -> Iterator[str]:
    state = "broken" if found.breaks else "whole"
    yield from page.wrapped(out.text(f"verify.voucher.{state}", file=path), out.width)
    for each in found.breaks[:_SHOWN]:
        yield ""
        yield from _break_lines(each, site, out)
    if more := len(found.breaks[_SHOWN:]):
        yield out.text("verify.more", count=more)
    for package in found.packages:
        yield ""
        for name, text in _listed(package, out).items():
            yield from page.labelled(out.text(f"verify.fact.{name}"), text, indent=0, column=14, width=out.width)
    if not found.breaks:
        yield ""
        yield from page.wrapped(out.text(f"verify.voucher.{'advice' if key is None else 'proved'}"), out.width)


def _listed(package: Listed, out: Messages) -> Mapping[str, str]:
    """What a voucher package says of itself: keys of `verify.fact.*` and the text beside each."""
    about = {"station": package.station, "period": package.period, "version": package.version}
    status = package.status if package.status in {"draft", "superseded"} else "told"
    return {
        "report": out.text(f"verify.voucher.{status}", **about),
        "files": str(package.files),
        "key": package.key or "-",
    }


def _facts(verdict: Verdict, site: Site, out: Messages) -> list[tuple[str, str]]:
    """What was found besides breaks: keys of `verify.fact.*` and the text beside each."""
    facts = [("sealed", out.text("verify.rounds", first=verdict.first, last=verdict.last, stored=verdict.stored))]
    if verdict.unsealed or verdict.unsealed_rows:
        behind = out.text("verify.unsealed", rounds=verdict.unsealed, rows=verdict.unsealed_rows)
        facts.append(("behind", behind))
    if verdict.absent:
        facts.append(("absent", out.text("verify.absent", rounds=verdict.absent)))
    facts += [("deleted", _stretch(each, site, out)) for each in verdict.deleted[:_SHOWN]]
    for each in verdict.salvages:
        lost = " ".join(f"{first}…{last}" for first, last in each.lost) or "-"
        facts.append(("salvage", out.text("verify.salvage", seal=each.seal, lost=lost, seals=len(each.broken))))
    facts += [("key", each) for each in verdict.keys]
    good = sum(head.state == _GOOD for head in verdict.heads)
    facts.append(("heads", out.text("verify.heads", good=good, count=len(verdict.heads))))
    if verdict.heads:
        newest = verdict.heads[-1]
        facts.append(("newest", out.text("verify.newest", day=newest.day, seal=newest.seal, key=newest.key)))
    if verdict.held:
        facts.append(("held", out.text(f"verify.held.{verdict.held}")))
    return [*facts, ("hash", verdict.hash or "-")]


def _break_lines(found: Break, site: Site, out: Messages) -> Iterator[str]:
    """What is broken, where, and the two hashes."""
    yield from page.wrapped(out.text(f"verify.break.{found.code}", table=found.table, key=found.key), out.width)
    facts = {
        "round": found.round_id,
        "at": site.local(found.at_ms),
        "meter": found.meter,
        "seal": str(found.seal or ""),
        "expected": found.expected,
        "found": found.found,
    }
    for name, text in facts.items():
        if text:
            yield from page.labelled(out.text(f"verify.fact.{name}"), text, indent=2, column=14, width=out.width)


def _stretch(found: Stretch, site: Site, out: Messages) -> str:
    nothing = out.text("verify.no_date")
    begin, end = site.local(found.from_ms) or nothing, site.local(found.to_ms) or nothing
    return out.text("verify.stretch", first=found.first, last=found.last, begin=begin, end=end)
