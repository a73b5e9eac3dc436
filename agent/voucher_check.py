"""Whether the package of a voucher is what the gateway wrote: every file as its signed list names it, no more, no less.

    is_voucher(path) -> bool                                    whether files of a voucher are there
    checked(path, key) -> Checked                               what they prove

Strategy: a package is the files that `qushui report --out` writes, in their directory or packed into a ZIP by whatever
program; so the content of the files counts, not the packing. A directory may hold several packages (versions,
quarters): each has its own manifest, and each file must be in one. Whoever signs everything anew with a key of his own
has to print another fingerprint on the voucher: that is what others hold.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import is_zipfile

from agent.export import MISPACKED, archive_at, manifest_state, opened_member
from agent.reports.freezing import statement
from agent.reports.package import FORM, manifest_text
from agent.signing import is_signed_by, signed_text
from agent.verification import Break

_PERIOD = r"\d{4}(?:Q[1-4]|-\d\d(?:-\d\d)?)"
_NAME = re.compile(rf"((?!\.).+-{_PERIOD}-(?:draft|v\d+))(?:-(?:intakes|rows|manifest))?\.")
_LIST = "-manifest.json"
_TEXTS = ("station", "period", "status", "key", "report_sha256")
_MOST_BYTES = 32 << 20  # of a manifest, and of a voucher
_SIGNED = {"HEAD_SIGNATURE": "LIST_SIGNATURE", "HEAD_KEY": "LIST_KEY", "NONE": "UNSIGNED"}


class Listed(NamedTuple):
    """A package as its manifest tells it: `status` draft, frozen or superseded, the signing key's fingerprint."""

    manifest: str
    station: str
    period: str
    version: int
    status: str
    key: str
    files: int


class Checked(NamedTuple):
    """The packages found, and what is not as it was written; the `table` of a break is the file's name.

    Its code: MEMBER changed, MEMBER_MISSING, MEMBER_ADDED; of the manifest LIST_MISSING, LIST_DAMAGED (not as we write
    one), LIST_SIGNATURE, LIST_KEY (another than it must be), UNSIGNED, REPORT_SIGNATURE (the frozen report is signed by
    another key); of a voucher SHOWN_KEY (it prints another fingerprint).
    """

    packages: tuple[Listed, ...]
    breaks: tuple[Break, ...]


class _Files(NamedTuple):
    """The files of a directory or ZIP; `others` cannot be a member: directories, a name that comes twice."""

    names: frozenset[str]
    others: tuple[str, ...]
    open: Callable[[str], IO[bytes]]


def is_voucher(path: Path) -> bool:
    """Whether a directory or ZIP holds files that are named as a voucher's, or the file is the manifest of some.

    Raises OSError, UnopenedError.
    """
    if not path.is_dir() and not is_zipfile(path):
        return path.is_file() and _is_list(path.name)
    with _files(path) as files:
        return bool(_stems(files.names))


def checked(path: Path, key: str | None) -> Checked:
    """Checks all packages there, of a manifest its own. `key`: the fingerprint or public key that must have signed.

    Raises OSError, UnopenedError.
    """
    packages, breaks, known = [], [], set()
    with _files(path) as files:
        for stem in _stems(files.names):
            name = stem + _LIST
            known.add(name)
            manifest = _manifest(files, name) if name in files.names else None
            if manifest is None:
                breaks.append(Break("LIST_DAMAGED" if name in files.names else "LIST_MISSING", name, 0, 0))
                known |= _alike(files.names, stem)
                continue
            packages.append(_listed(name, manifest))
            breaks += _unproved(files, name, manifest, key)
            breaks += _altered(files, manifest["files"])
            known |= manifest["files"].keys()
        breaks += [Break("MEMBER_ADDED", name, 0, 0) for name in sorted({*files.names - known, *files.others})]
    return Checked(tuple(packages), tuple(breaks))


@contextmanager
def _files(path: Path) -> Iterator[_Files]:
    if path.is_dir():
        found = {each.name: each.is_file() for each in path.iterdir()}
        names = frozenset(name for name, is_file in found.items() if is_file)
        yield _Files(names, tuple(found.keys() - names), lambda name: (path / name).open("rb"))
        return
    if _is_list(path.name):
        with _files(path.parent) as files:
            yield files._replace(names=frozenset(_alike(files.names, _stem(path.name))), others=())
        return
    with archive_at(path) as archive:
        packed = [name for name in archive.namelist() if not name.endswith("/")]
        folder = _folder(packed)
        shown = [name.removeprefix(folder) for name in packed]
        members = dict(zip(shown, packed, strict=True))
        twice = tuple(name for name in members if shown.count(name) > 1)
        yield _Files(frozenset(members), twice, lambda name: opened_member(archive, members[name]))


def _folder(names: Collection[str]) -> str:
    """The folder in a ZIP that its members lie in, as "name/"; "" where they lie in none, or in several."""
    folders = {folder + mark for folder, mark, name in (each.rpartition("/") for each in names) if _stem(name)}
    return folders.pop() if len(folders) == 1 else ""


def _stem(name: str) -> str:
    """How the names of a package begin, of a file that is named as one of its members; else ""."""
    found = _NAME.match(name)
    return found[1] if found and "/" not in name else ""


def _alike(names: Collection[str], stem: str) -> set[str]:
    return {name for name in names if _stem(name) == stem}


def _is_list(name: str) -> bool:
    return bool(_stem(name)) and name.endswith(_LIST)


def _stems(names: Collection[str]) -> list[str]:
    return sorted({_stem(name) for name in names} - {""})


def _manifest(files: _Files, name: str) -> Mapping[str, Any] | None:
    """The manifest; None where it is not as we write it, to the last byte."""
    try:
        with files.open(name) as member:
            written = member.read(_MOST_BYTES)
        manifest = json.loads(written)
        is_ours = manifest["form"] == FORM and manifest_text(manifest) == written
        texts = [*manifest["files"].values(), *(manifest[each] for each in _TEXTS)]
        is_shaped = all(isinstance(each, str) for each in texts) and isinstance(manifest["version"], int)
        bytes.fromhex(manifest["report_signature"])
    except (*MISPACKED, LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return dict(manifest) if is_ours and is_shaped else None


def _listed(name: str, manifest: Mapping[str, Any]) -> Listed:
    told = {each: manifest[each] for each in ("station", "period", "version", "status", "key")}
    return Listed(manifest=name, files=len(manifest["files"]), **told)


def _unproved(files: _Files, name: str, manifest: Mapping[str, Any], key: str | None) -> Iterator[Break]:
    """What of the signature does not hold: over the list, over the frozen report, and the key that vouchers show."""
    state = manifest_state(manifest, key)
    if "signature" not in manifest:
        state = "NONE"
    if state != "GOOD":
        yield Break(_SIGNED[state], name, 0, 0, key or "", manifest["key"])
        return
    shown: str = manifest["key"]
    stated = statement(manifest["station"], manifest["period"], manifest["version"], manifest["report_sha256"])
    public, signature = bytes.fromhex(manifest["public"]), bytes.fromhex(manifest["report_signature"])
    if not is_signed_by(public, signed_text(stated), signature):
        yield Break("REPORT_SIGNATURE", name, 0, 0, "", shown)
    for voucher in sorted(files.names & manifest["files"].keys()):
        if voucher.endswith(".html") and shown.encode() not in _content(files, voucher):
            yield Break("SHOWN_KEY", voucher, 0, 0, shown)


def _altered(files: _Files, listed: Mapping[str, str]) -> Iterator[Break]:
    """Files that are not as the list names them, or not there."""
    for name, expected in sorted(listed.items()):
        if name not in files.names:
            yield Break("MEMBER_MISSING", name, 0, 0, expected)
        elif (found := _sum(files, name)) != expected:
            yield Break("MEMBER", name, 0, 0, expected, found)


def _sum(files: _Files, name: str) -> str:
    """The SHA-256 of a file; "" where its packing is damaged."""
    try:
        with files.open(name) as member:
            return hashlib.file_digest(member, "sha256").hexdigest()  # type: ignore[arg-type]  # a ZIP's member, too
    except MISPACKED:
        return ""


def _content(files: _Files, name: str) -> bytes:
    try:
        with files.open(name) as member:
            return member.read(_MOST_BYTES)
    except MISPACKED:
        return b""
