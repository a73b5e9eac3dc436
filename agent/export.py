"""A package for auditors: rounds of a period with everything that gives them meaning, and the whole chain.

    export(store, from_ms, to_ms, out, key=None) -> Summary     writes the package (moments in UTC ms; None: no bound)
    unpacked(package) -> contextmanager of Unpacked             a database made of it, for `agent.verification.verify`

Strategy: a ZIP of one JSON Lines file per table, its columns as they are in the database, and a manifest with the
SHA-256 of each member, signed by the gateway's key where the ledger knows that key (the agent declares it at its first
start): what an unknown key signed proves nothing, so such a package bears no signature. All seals are in it and all
small tables, so that every link is provable; of rounds those of the seals that touch the period, of other rounds the
digest in their seal. Rows stream through, times inside the ZIP are fixed: the same content gives the same bytes. To be
verified a package becomes a database again, in a temporary file.
"""

from __future__ import annotations

import errno
import json
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, NamedTuple

from agent.model import INTAKE, MANUAL
from agent.package_check import Stray, UnopenedError, strays, unopened
from agent.signing import fingerprint, is_signed_by, signed_text, with_signature
from agent.store import cursors
from agent.store.database import connect, connect_read_only
from agent.store.dates import Boot, Dates, Era

FORM = 1
MANIFEST = "manifest.json"
_CHOICES = {  # with the bounds in numbers and in moments
    "epoch": "SELECT * FROM epoch ORDER BY first",
    "boot": "SELECT * FROM boot ORDER BY id",
    "era": "SELECT * FROM era ORDER BY id",
    "layout": "SELECT * FROM layout ORDER BY id",
    "ledger": "SELECT * FROM ledger ORDER BY id",
    "confirmation": "SELECT * FROM confirmation ORDER BY id",
    "seal": "SELECT id, first, last, boot, era, layout, ledger, rounds, note, hash, CASE"
    " WHEN (last < :first OR first > :last) AND EXISTS (SELECT 1 FROM round WHERE number BETWEEN first AND last)"
    " THEN substr(marks, 1 + 4 * (last - first + 1)) ELSE marks END AS marks FROM seal ORDER BY id",
    "proof": "SELECT * FROM proof WHERE seal IN (SELECT id FROM seal WHERE last >= :first AND first <= :last)"
    " ORDER BY seal",
    "keep": "SELECT * FROM keep WHERE last >= :first AND first <= :last ORDER BY first, last, reason",
    "closing": "SELECT * FROM closing WHERE at_ms BETWEEN :from_ms AND :to_ms ORDER BY intake, at_ms, revision",
    "event": "SELECT * FROM event WHERE began_ms <= :to_ms AND ifnull(ended_ms, :from_ms) >= :from_ms ORDER BY id",
    "round": "SELECT * FROM round WHERE number BETWEEN :first AND :last ORDER BY number",
}
TABLES = tuple(_CHOICES)
"""The members are `TABLE.jsonl`, in this order. Blobs are hex. Closings and events follow from the others."""

_MEMBERS = {f"{table}.jsonl" for table in TABLES}
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # a ZIP knows no time before
_MODE = 0o644 << 16
_BEHIND = 2000  # rounds that may follow one and be older than it
_FARTHEST = 1 << 62
_MEASURED = (
    "SELECT number, boot_ms FROM round WHERE number >= ? AND number < ?"
    " AND layout IN (SELECT id FROM layout WHERE protocol NOT IN (?, ?)) ORDER BY number LIMIT 1"
)
_MOST_BYTES = 32 << 20  # of a line, and of the manifest
MISPACKED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)  # the last: encrypted
"""What a member raises whose packing is damaged."""


class NotAPackageError(Exception):
    """The file is no package of ours; `detail` says what is wrong, `member` where."""

    def __init__(self, member: str, detail: str) -> None:
        super().__init__(f"{member}: {detail}")
        self.member = member
        self.detail = detail


class AlteredError(NotAPackageError):
    """A member of the package is not as it was written, so that it cannot even be read."""

    def __init__(self, member: str, detail: str, *, expected: str = "", found: str = "") -> None:
        super().__init__(member, detail)
        self.expected = expected
        self.found = found


class Summary(NamedTuple):
    """What went into a package: rounds, the numbers they lie between, seals, bytes, the signing key's fingerprint.

    `key` is "" where it is not signed.
    """

    rounds: int
    first: int
    last: int
    seals: int
    bytes: int
    key: str


class Wrong(NamedTuple):
    """A member that is not the one its manifest names; SHA-256 in hex."""

    member: str
    expected: str
    found: str


class Unpacked(NamedTuple):
    """A package as a database: where it is, which numbers it holds, what its manifest says, what contradicts that, and
    what the file holds beside its members.
    """

    database: Path
    exported: tuple[int, int]
    manifest: Mapping[str, Any]
    wrong: tuple[Wrong, ...]
    strays: tuple[Stray, ...]


def export(store: Path, from_ms: int | None, to_ms: int | None, out: Path, key: Path | None = None) -> Summary:
    """Writes the package of the rounds stored from `from_ms` to before `to_ms`, signed with the key file `key`.

    Reads a snapshot: the agent may run. A kill leaves `out` as it was. Raises FileNotFoundError, sqlite3.Error,
    OSError, KeyUnusableError.
    """
    part = out.with_name(out.name + ".part")
    try:
        with closing(connect_read_only(store)) as connection:
            connection.execute("BEGIN")
            first, last = _numbers(connection, from_ms, to_ms)
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as package:
                bounds = {"first": first, "last": last, "from_ms": from_ms or 0, "to_ms": to_ms or _FARTHEST}
                members = {f"{table}.jsonl": _write(package, connection, table, bounds) for table in TABLES}
                manifest = _manifest(connection, from_ms, to_ms, first, last)
                manifest = _signed({**manifest, "members": members}, key, connection)
                _entry(package, MANIFEST, _manifest_text(manifest))
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    rounds, seals = members["round.jsonl"]["lines"], members["seal.jsonl"]["lines"]
    return Summary(rounds, first, last, seals, out.stat().st_size, manifest.get("key", ""))


def _numbers(connection: sqlite3.Connection, from_ms: int | None, to_ms: int | None) -> tuple[int, int]:
    """The first and last number of the seals that touch the period; last < first when none does."""
    boots = map(Boot._make, connection.execute("SELECT first, boot_id FROM boot ORDER BY id"))
    eras = map(Era._make, connection.execute("SELECT first, boot_id, offset_ms, source FROM era ORDER BY id"))
    (top,) = connection.execute("SELECT ifnull(max(last), 0) FROM seal").fetchone()
    found = []
    for first, following, offset_ms in Dates(boots, eras).spells_from(0):
        end = min(following or _FARTHEST, top + 1)
        if offset_ms is not None and end > first:
            low = first if from_ms is None else _first_at(connection, first, end, from_ms - offset_ms) - _BEHIND
            high = end if to_ms is None else _first_at(connection, first, end, to_ms - offset_ms) + _BEHIND
            if low < high and (from_ms is None or low < end):
                found.append((max(first, low), min(end, high) - 1))
    if from_ms is None and to_ms is None:
        found = [(1, top)]
    if not found:
        return 1, 0
    low, high = min(first for first, _ in found), max(last for _, last in found)
    query = (
        "SELECT ifnull(min(first), 1), ifnull(max(last), 0) FROM seal WHERE last >= ? AND first <= ? AND last >= first"
    )
    first, last = connection.execute(query, (low, high)).fetchone()
    return int(first), int(last)


def _first_at(connection: sqlite3.Connection, first: int, end: int, boot_ms: int) -> int:
    """The first number of first…end whose round was measured at or after `boot_ms`; `end` when none was."""
    low, high = first, end
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(_MEASURED, (middle, high, INTAKE, MANUAL)).fetchone()
        if row is None or row[1] >= boot_ms:
            high = middle
        else:
            low = row[0] + 1
    return low


def _manifest(
    connection: sqlite3.Connection, from_ms: int | None, to_ms: int | None, first: int, last: int
) -> dict[str, Any]:
    row = connection.execute("SELECT value FROM meta WHERE name = 'deleted'").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    return {
        "form": FORM, "schema": schema, "from_ms": from_ms, "to_ms": to_ms, "first": first, "last": last,
        "deleted": json.loads(row[0]) if row else [],
    }  # fmt: skip


def _manifest_text(manifest: Mapping[str, Any]) -> bytes:
    """The one way to write a manifest, so that nothing fits between its words."""
    return json.dumps(manifest, ensure_ascii=False, sort_keys=True, indent=1).encode()


def _signed(manifest: dict[str, Any], key: Path | None, connection: sqlite3.Connection) -> dict[str, Any]:
    """The manifest, signed where there is a key that the ledger knows."""
    declared = {name for (name,) in connection.execute("SELECT subject FROM ledger WHERE kind = 'key'")}
    return manifest if key is None or not declared else with_signature(manifest, key, declared)


def _write(
    package: zipfile.ZipFile, connection: sqlite3.Connection, table: str, bounds: Mapping[str, int]
) -> dict[str, Any]:
    """One member, line by line; its SHA-256 and how many lines it has."""
    summed, lines = sha256(), 0
    found = connection.execute(_CHOICES[table], bounds)
    columns = [column[0] for column in found.description]
    with package.open(_info(f"{table}.jsonl"), "w", force_zip64=True) as member:
        for row in found:
            told = dict(zip(columns, row, strict=True))
            line = (json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=bytes.hex) + "\n").encode()
            summed.update(line)
            member.write(line)
            lines += 1
    return {"sha256": summed.hexdigest(), "lines": lines}


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system, info.external_attr = 3, _MODE
    return info


def _entry(package: zipfile.ZipFile, name: str, data: bytes) -> None:
    with package.open(_info(name), "w") as member:
        member.write(data)


@contextmanager
def unpacked(package: Path) -> Iterator[Unpacked]:
    """The package as a database, for as long as the context lasts; takes three times its size beside the system's
    temporary files. Raises NotAPackageError, UnopenedError, OSError.
    """
    with (
        package.open("rb") as file,
        archive_at(package) as archive,
        tempfile.TemporaryDirectory(prefix="qushui-") as directory,
    ):
        found = _unpack(archive, Path(directory) / "package.db")
        yield found._replace(strays=tuple(strays(archive, file)))


def archive_at(path: Path) -> zipfile.ZipFile:
    """A ZIP to read. Raises UnopenedError, OSError."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that one: an offset before the beginning
            raise
        raise UnopenedError(unopened(path)) from error


def manifest_state(manifest: Mapping[str, Any], key: str | None) -> str:
    """Of a package's signature: GOOD, NONE, HEAD_SIGNATURE, or HEAD_KEY where it is not by the key `key`."""
    if "signature" not in manifest:
        return "NONE" if key is None else "HEAD_KEY"
    try:
        public, signature = bytes.fromhex(manifest["public"]), bytes.fromhex(manifest["signature"])
    except (ValueError, TypeError, KeyError):
        return "HEAD_SIGNATURE"
    if fingerprint(public) != manifest.get("key") or (key is not None and key not in {public.hex(), manifest["key"]}):
        return "HEAD_KEY"
    return "GOOD" if is_signed_by(public, signed_text(manifest), signature) else "HEAD_SIGNATURE"


def _unpack(archive: zipfile.ZipFile, database: Path) -> Unpacked:
    manifest, wrong = _read_manifest(archive)
    with closing(connect(database)) as target:
        target.execute("PRAGMA synchronous=OFF")
        target.execute("BEGIN")
        for table in TABLES:
            name = f"{table}.jsonl"
            expected = _expected(manifest, name)
            try:
                found = _fill(target, table, archive, name)
            except MISPACKED as error:  # the packing tells it itself
                raise AlteredError(name, str(error), expected=expected) from error
            except (KeyError, ValueError, TypeError, AttributeError, OverflowError, sqlite3.Error) as error:
                if name not in archive.namelist() and not expected:
                    raise NotAPackageError(name, str(error)) from error
                raise AlteredError(name, str(error), expected=expected, found=_sum(archive, name)) from error
            if found != expected:
                wrong.append(Wrong(name, expected, found))
        others = [name for name in archive.namelist() if name not in {MANIFEST, *_MEMBERS}]
        wrong += [Wrong(name, "", _sum(archive, name)) for name in others]
        target.execute("INSERT INTO meta VALUES ('deleted', ?)", (cursors.dumps(manifest["deleted"]),))
        target.execute("COMMIT")
    return Unpacked(database, (manifest["first"], manifest["last"]), manifest, tuple(wrong), ())


def _expected(manifest: Mapping[str, Any], name: str) -> str:
    """The SHA-256 that the manifest names for a member; "" where it names none."""
    match manifest["members"].get(name):
        case {"sha256": str(digits)}:
            return digits
    return ""


def _read_manifest(archive: zipfile.ZipFile) -> tuple[dict[str, Any], list[Wrong]]:
    """The manifest, and whether it is written in another way than ours."""
    try:
        with opened_member(archive, MANIFEST) as member:
            written = member.read(_MOST_BYTES)
        manifest = json.loads(written)
        shape = (manifest["form"], manifest["first"], manifest["last"], manifest["deleted"], manifest["members"])
        plain = _manifest_text(manifest)
    except (*MISPACKED, KeyError, ValueError, TypeError) as error:
        if _MEMBERS.isdisjoint(archive.namelist()):
            raise NotAPackageError(MANIFEST, str(error)) from error
        raise AlteredError(MANIFEST, str(error)) from error
    match shape:
        case (1, int(), int(), list(), dict()):
            wrong = Wrong(MANIFEST, sha256(plain).hexdigest(), sha256(written).hexdigest())
            return dict(manifest), [] if written == plain else [wrong]
    raise NotAPackageError(MANIFEST, f"form {manifest['form']}")


def _sum(archive: zipfile.ZipFile, name: str) -> str:
    """The SHA-256 of a member; "" where it is missing or its packing is damaged."""
    summed = sha256()
    try:
        with opened_member(archive, name) as member:
            for line in _lines(member):
                summed.update(line)
    except (*MISPACKED, KeyError, ValueError):
        return ""
    return summed.hexdigest()


def _fill(target: sqlite3.Connection, table: str, archive: zipfile.ZipFile, name: str) -> str:
    """Puts a member's lines into their table; gives the member's SHA-256."""
    columns = target.execute(f"PRAGMA table_info({table})").fetchall()
    blobs = {column[1] for column in columns if column[2] == "BLOB"}
    names = [column[1] for column in columns]
    insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})"  # noqa: S608  # our own table names
    summed = sha256()
    with opened_member(archive, name) as member:
        for line in _lines(member):
            summed.update(line)
            told = json.loads(line)
            target.execute(insert, [bytes.fromhex(told[each]) if each in blobs else told[each] for each in names])
    return summed.hexdigest()


def opened_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A member to read. Raises KeyError, and BadZipFile also for methods that no package of ours is packed with."""
    info = archive.getinfo(name)
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} or info.header_offset < 0:
        raise zipfile.BadZipFile(f"method {info.compress_type}, offset {info.header_offset}")
    return archive.open(info)


def _lines(member: IO[bytes]) -> Iterator[bytes]:
    while line := member.readline(_MOST_BYTES):
        yield line
