"""Rows of the chain: what sealing costs a round, and how fast a file is verified."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from agent.store.database import connect
from agent.store.seals import RoundRow, Sealing
from agent.verification import opened, verify
from bench.figures import Bench, Figure

ROUNDS = 200_000
_BATCH = 50
_BODY_BYTES, _RAW_BYTES = 70, 130  # 20 values


def chain(bench: Bench) -> list[Figure]:
    """Writes rounds of 20 values in batches of 50, sealing as the store does, then verifies the file."""
    path = bench.site("chain") / "qushui.db"
    rounds = ROUNDS * 10 if bench.full else ROUNDS
    sealed_s = _written(path, rounds)
    began_s = time.monotonic()
    with opened(path) as connection:
        assert verify(connection).is_whole
    took_s = time.monotonic() - began_s
    return [
        Figure(name="sealing", title="sealing: processor time of a round", unit="µs", target="≤ 6",
               qushui=1e6 * sealed_s / rounds, note="20 values; 50 rounds are 1000 values"),
        Figure(name="verifying", title="qushui verify: rounds a second", unit="1/s", target="",
               qushui=rounds / took_s, note=f"{rounds} rounds, {path.stat().st_size / 1e6:.0f} MB"),
    ]  # fmt: skip


def _written(path: Path, rounds: int) -> float:
    """Seconds of processor time that sealing took."""
    sealing, spent_s = Sealing(lambda _: {}), 0.0
    body, raw = os.urandom(_BODY_BYTES), os.urandom(_RAW_BYTES)
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        _begin(connection)
        sealing.load(connection)
        for first in range(1, rounds + 1, _BATCH):
            rows: list[RoundRow] = [(first + at, 1, 20 * (first + at), body, None, raw) for at in range(_BATCH)]
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO round VALUES (?, ?, ?, ?, ?, ?)", rows)
            began_s = time.process_time()
            sealing.begin()
            sealing.cut(connection, rows)
            spent_s += time.process_time() - began_s
            connection.execute("COMMIT")
            sealing.done()
    return spent_s


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO epoch VALUES (1, '00000000')")
    connection.execute("INSERT INTO boot VALUES (1, 1, 'bench')")
