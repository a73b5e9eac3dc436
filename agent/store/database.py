"""The file: its lock, its connection, its schema, its errors.

Strategy: WAL with `synchronous=FULL`, so that COMMIT returns when the rounds survive a power cut (NORMAL lost
acknowledged rows in 9 of 30 cuts). Small pages, no zeroing of freed ones and rare checkpoints, because a commit of a
few rounds writes whole pages. One process owns the file, by a lock beside it that names its holder and dies with it.
Migrations only go forward; each is one transaction together with its number.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

PAGE_BYTES = 1024
LOG_BYTES = 8 << 20
"""The log is moved into the file when it is this long; checkpoints are a fifth of all bytes, so it is long."""

_FRAME_BYTES = PAGE_BYTES + 24
_BUSY_MS = 5000
STEPS_A_BEAT = 100_000  # SQLite's own instructions: some milliseconds
_PRIMARY = 0xFF  # SQLite's extended result codes carry the primary one in the low byte
_NOT_PERMITTED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


class StoreHeldError(Exception):
    """Another process owns the store. `holder` is what it wrote into the lock: pid and command."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is held by {holder}")
        self.path = path
        self.holder = holder


class SchemaTooNewError(OSError):
    """The file was written by a newer version, whose schema this one does not know."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(f"{path}: schema {found}, this version knows up to {known}")
        self.path = path
        self.found = found
        self.known = known


class Lock:
    """The exclusive right to write the store; released by `close` and by the death of the process."""

    def __init__(self, path: Path) -> None:
        """Takes it. Raises StoreHeldError; OSError where the directory cannot be written."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 1000, 0).decode(errors="replace").strip()
            os.close(self._fd)
            raise StoreHeldError(path, holder) from None
        with contextlib.suppress(OSError):  # a full disk takes no name, but the lock holds
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()} {' '.join(sys.argv)}\n".encode(errors="replace"), 0)

    def close(self) -> None:
        """Gives it up; the file stays, so that two processes never lock different files of one name."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def connect(path: Path, *, log_bytes: int = LOG_BYTES) -> sqlite3.Connection:
    """The writing connection, at the newest schema; creates the file where there is none.

    Raises sqlite3.DatabaseError for a damaged file, SchemaTooNewError, OSError.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000)
    try:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")  # only a new file takes it
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "PRAGMA secure_delete=OFF"
        )  # Debian's default writes zeros over freed pages: 18 % of all bytes
        connection.execute(f"PRAGMA wal_autocheckpoint={log_bytes // _FRAME_BYTES}")
        connection.execute(f"PRAGMA journal_size_limit={2 * log_bytes}")
        connection.execute("PRAGMA temp_store=MEMORY")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises FileNotFoundError, sqlite3.DatabaseError.

    After a clean stop there is no log, and a reader who may not create one (another user) opens the file as immutable.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    uri = path.resolve().as_uri()
    connection = _opened(f"{uri}?mode=ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        log = side(path, "-wal")
        if primary_code(error) not in _NOT_PERMITTED or (log.exists() and log.stat().st_size):
            raise
        return _opened(f"{uri}?mode=ro&immutable=1")
    except BaseException:
        connection.close()
        raise
    return connection


def _opened(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings the schema up to date. A kill, a power cut or a full disk leaves the version before or the one after."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    migrations = sorted(_migrations(), key=lambda file: file.name)
    known = int(migrations[-1].name[:4])
    if found > known:
        raise SchemaTooNewError(path, found, known)
    for file in migrations:
        number = int(file.name[:4])
        if number <= found:
            continue
        connection.execute("BEGIN IMMEDIATE")
        for statement in _statements(file.read_text(encoding="utf-8")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")


def _migrations() -> Iterator[Traversable]:
    return (file for file in (resources.files("agent") / "schema").iterdir() if file.name.endswith(".sql"))


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit before the first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code of an error (SQLITE_FULL, SQLITE_IOERR, …); 0 where Python raised it itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file's content is broken, not the disk or the moment."""
    return primary_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_sound(connection: sqlite3.Connection, beat: Callable[[], None]) -> bool:
    """Whether SQLite finds no fault in the whole file; reads all of it, and calls `beat` meanwhile."""
    connection.set_progress_handler(beat, STEPS_A_BEAT)
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return False
        raise
    finally:
        connection.set_progress_handler(None, 0)


def side(path: Path, suffix: str) -> Path:
    """A file beside the database: `-wal`, `.lock` and so on behind its name."""
    return path.with_name(path.name + suffix)
