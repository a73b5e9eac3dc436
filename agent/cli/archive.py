"""`qushui archive [check|show|export] [INTAKE]`: the electronic archive of an intake's metering devices."""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from agent import page
from agent.archive.checking import Remark, remarks
from agent.archive.form import ArchiveForm
from agent.archive.record import Archive, sha256_of
from agent.client import DEFAULT_CONFIG
from agent.clock import SystemClock, date_of
from agent.config import load
from agent.form.judge import section_of
from agent.form.problems import FormErrors
from agent.form.reference import fields_of, locale_name
from agent.messages import Messages, problem_lines
from agent.reporting import NAMEPLATE
from agent.settings import Config
from agent.store.book_reader import BookReader, LedgerRow
from agent.uplinks.registry import settings_models
from drivers.registry import DRIVERS

HELP_KEY = "cli.verb.archive"
_HINT = re.compile("[，；：,;:]")  # what follows in a key's meaning is how to write it
_UNIT = re.compile(r"[，,] ?((?:万 |10 000 )?(?:m³(?:/[hs])?|mm|cm|m|kW))$")  # but for its unit


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger holds about an intake's installation."""

    archives: Sequence[LedgerRow] = ()
    replacements: Sequence[LedgerRow] = ()
    nameplates: Sequence[LedgerRow] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    actions = ("check", "show", "export")
    parser.add_argument("action", nargs="?", choices=actions, default="check", help="cli.archive.action")
    parser.add_argument("intake", nargs="?", metavar="INTAKE", help="cli.archive.intake")
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="cli.archive.config")
    parser.add_argument("--json", action="store_true", help="cli.json_option")


def run(arguments: argparse.Namespace, out: Messages) -> int:
    """0; 1 when an archive lacks something or is none, or a certificate has ended; 2 for a wrong file or name."""
    try:
        config = load(arguments.config, drivers=DRIVERS, uplink_settings=settings_models())
    except FormErrors as errors:
        print("\n".join(problem_lines(out, errors.problems)), file=sys.stderr)
        return 2
    if arguments.intake is not None and arguments.intake not in config.intakes:
        allowed = " ".join(config.intakes) or "-"
        print(out.text("cli.archive.unknown", value=arguments.intake, allowed=allowed), file=sys.stderr)
        return 2
    names = list(config.intakes) if arguments.intake is None else [arguments.intake]
    match arguments.action:
        case "check":
            return _check(config, names, arguments.json, out)
        case "show":
            return _show(config, names, arguments.json, out)
        case _:
            return _export(config, names, arguments.json, out)


def _today(config: Config) -> date:
    return SystemClock(config.clock.trust).now().astimezone(ZoneInfo(config.station.timezone)).date()


def _check(config: Config, names: Sequence[str], as_json: bool, out: Messages) -> int:
    today = _today(config)
    found: dict[str, list[Remark] | None] = {
        name: list(remarks(config.archives[name].data, today)) if name in config.archives else None for name in names
    }
    if as_json:
        told = {
            name: None if said is None else [{"code": each.code, "arguments": dict(each.arguments)} for each in said]
            for name, said in found.items()
        }
        print(json.dumps(told, ensure_ascii=False))
    else:
        for name, said in found.items():
            print("\n".join(_checked(name, said, out)))
    return int(any(said is None or any(each.is_wrong for each in said) for said in found.values()))


def _checked(name: str, said: Sequence[Remark] | None, out: Messages) -> Iterator[str]:
    yield name
    if said is None:
        lines = [out.text("cli.archive.none")]
    else:
        lines = [out.text(f"archive.{each.code}", **each.arguments) for each in said]
    for line in lines or [out.text("cli.archive.good")]:
        yield from (f"  {each}" for each in page.wrapped(line, out.width - 2))


def _show(config: Config, names: Sequence[str], as_json: bool, out: Messages) -> int:
    shown = [name for name in names if name in config.archives]
    if as_json:
        print(json.dumps({name: dict(config.archives[name].data) for name in shown}, ensure_ascii=False))
        return 0
    for name in names:
        archive = config.archives.get(name)
        title = config.intakes[name].title
        print(f"{name}  {title}" if title != name else name)
        if archive is None:
            print(f"  {out.text('cli.archive.none')}")
            continue
        record = _record(config, name, out)
        print(f"  {_version_text(archive, record, out)}")
        print("\n".join(_page(ArchiveForm, archive.data, out)))
    return 0


def _version_text(archive: Archive, record: Record, out: Messages) -> str:
    if not record.archives:
        return out.text("cli.archive.draft")
    newest = record.archives[-1].body
    is_same = sha256_of(newest["archive"]) == sha256_of(archive.data)
    return out.text(f"cli.archive.{'version' if is_same else 'changed'}", version=newest["version"])


def _page(form: type[BaseModel], data: Mapping[str, Any], out: Messages) -> Iterator[str]:
    """An archive for people: each section's title, and below it what is there."""
    for key, model_field in fields_of(form):
        if key not in data:
            continue
        yield f"  {_meaning(form, key, out)}"
        section = section_of(model_field.annotation)
        parts = data[key] if isinstance(data[key], list) else [data[key]]
        for part in parts:
            for label, value in _facts(section, part, out) if section is not None else [("", str(part))]:
                yield from page.labelled(label, value, indent=4, column=24, width=out.width)


def _facts(form: type[BaseModel], data: Mapping[str, Any], out: Messages) -> Iterator[tuple[str, str]]:
    for key, model_field in fields_of(form):
        if key not in data:
            continue
        section, value = section_of(model_field.annotation), data[key]
        meaning = _meaning(form, key, out)
        if section is not None:
            yield from ((f"{meaning} · {label}", text) for label, text in _facts(section, value, out))
        elif isinstance(value, list):
            yield meaning, " ".join(map(str, value))
        else:
            yield meaning, json.dumps(value) if isinstance(value, bool) else str(value)


def _meaning(form: type[BaseModel], key: str, out: Messages) -> str:
    text = out.text(f"field.{locale_name(form)}.{key}")
    unit = _UNIT.search(text)
    return _HINT.split(text)[0] + (f" {unit[1]}" if unit else "")


def _export(config: Config, names: Sequence[str], as_json: bool, out: Messages) -> int:
    """One intake's archive as one document, the same for the same content and the same ledger."""
    found = [name for name in names if name in config.archives]
    if len(names) != 1 and len(found) != 1:
        print(out.text("cli.archive.one"), file=sys.stderr)
        return 2
    if not found:
        print(f"{names[0]}: {out.text('cli.archive.none')}", file=sys.stderr)
        return 1
    document = _document(config, found[0], out)
    if as_json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        import yaml  # noqa: PLC0415 - only an export writes YAML

        print(yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=out.width), end="")
    return 0


def _document(config: Config, name: str, out: Messages) -> dict[str, Any]:
    archive, record = config.archives[name], _record(config, name, out)
    sha256 = sha256_of(archive.data)
    newest = record.archives[-1].body if record.archives else None
    on_record = newest is not None and sha256_of(newest["archive"]) == sha256
    return {
        "station": config.station.id,
        "intake": name,
        "version": newest["version"] if newest is not None and on_record else None,
        "sha256": sha256,
        "archive": dict(archive.data),
        "versions": [
            {"version": row.body["version"], "entered": _at(config, row.entered_ms), "who": row.who,
             "sha256": sha256_of(row.body["archive"])}
            for row in record.archives
        ],
        "replacements": [
            {"meter": row.subject, "at": _at(config, row.at_ms), "who": row.who, **row.body}
            for row in record.replacements
        ],
        "nameplates": [
            {"meter": row.subject, "at": _at(config, row.at_ms), "who": row.who, **row.body}
            for row in record.nameplates
        ],
    }  # fmt: skip


def _at(config: Config, ms: int | None) -> str | None:
    zone = ZoneInfo(config.station.timezone)
    return None if ms is None else date_of(ms).astimezone(zone).isoformat(timespec="seconds")


def _record(config: Config, name: str, out: Messages) -> Record:
    """What the station's database holds; nothing before the first start."""
    path = Path(config.store.path)
    if not path.exists():
        return Record()
    book = BookReader(path)
    try:
        archives = book.ledger("archive", name)
        meters = config.intakes[name].meters
        gone = book.withdrawn()
        replacements = [row for row in book.ledger("replacement") if row.subject in meters and row.id not in gone]
        nameplates = [row for row in book.ledger(NAMEPLATE) if row.subject in meters]
    except (sqlite3.Error, OSError) as error:
        print(out.text("cli.archive.unread", detail=str(error)), file=sys.stderr)
        return Record()
    finally:
        book.close()
    return Record(archives, replacements, nameplates)
