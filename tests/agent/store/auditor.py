"""A second verifier, written from docs/reference/chain.en.md alone: no line of the product, 80 lines at most."""

from __future__ import annotations

import json
import sqlite3
from hashlib import sha256

SMALL = {
    "epoch": ("first", "first, epoch"),
    "boot": ("id", "id, first, boot_id"),
    "era": ("id", "id, first, boot_id, offset_ms, source, set_boot_ms"),
    "layout": ("id", "id, meter, profile, version, protocol, address, quantities, flags, period_ms, requests"),
    "ledger": ("id", "id, kind, subject, at_ms, body, who, round, boot, ms"),
}


def field(value):
    if value is None:
        return b"n"
    if isinstance(value, int):
        return b"i" + value.to_bytes(8, "big", signed=True)
    kind, data = (b"t", value.encode()) if isinstance(value, str) else (b"b", value)
    return kind + len(data).to_bytes(4, "big") + data


def digest(table, row):
    return sha256(b"".join(map(field, (table, *row)))).digest()


def audit(path):
    """The ids of the seals that do not hold; empty for a whole file."""
    db = sqlite3.connect(path)
    held_to, bad = {}, []
    for (note,) in db.execute("SELECT note FROM seal WHERE note != ''"):
        held_to |= {int(seal): value for seal, value in json.loads(note)["broken"].items()}
    row = db.execute("SELECT value FROM meta WHERE name = 'deleted'").fetchone()
    deleted = json.loads(row[0]) if row else []
    before = {"hash": "", "last": 0, "boot": 0, "era": 0, "layout": 0, "ledger": 0}
    names = ["id", "first", "last", "boot", "era", "layout", "ledger", "rounds", "note", "hash"]
    for columns in db.execute(f"SELECT {', '.join(names)} FROM seal ORDER BY id").fetchall():
        seal = dict(zip(names, columns, strict=True))
        first, last = seal["first"], seal["last"]
        query = "SELECT number, layout, boot_ms, body, quality, raw FROM round WHERE number BETWEEN ? AND ?"
        there = {row[0]: digest("round", row) for row in db.execute(query, (before["last"] + 1, last))}
        proof = db.execute("SELECT digests FROM proof WHERE seal = ?", (seal["id"],)).fetchone()
        gone = [n for n in range(first, last + 1) if n not in there]
        unexplained = [n for n in gone if not any(low <= n <= high for low, high in deleted)]
        if proof:
            for n in gone:
                known = proof[0][32 * (n - first) : 32 * (n - first + 1)]
                there |= {} if known == bytes(32) else {n: known}
        rounds = sha256(b"".join(there[n] for n in sorted(there))).hexdigest()
        if not there and gone and not proof:
            rounds = seal["rounds"]
        rows = b""
        for table, (key, what) in SMALL.items():
            low, high = (before["last"], last) if table == "epoch" else (before[table], seal[table])
            query = f"SELECT {what} FROM {table} WHERE {key} > ? AND {key} <= ? ORDER BY {key}"
            rows += b"".join(digest(table, row) for row in db.execute(query, (low, high)))
        covers = [seal[name] for name in ("id", "first", "last", "boot", "era", "layout", "ledger")]
        found = digest("seal", (before["hash"], *covers, rounds, sha256(rows).hexdigest(), seal["note"])).hex()
        wanted = held_to.get(seal["id"], seal["hash"])
        if found != wanted or unexplained or (wanted == seal["hash"] and rounds != seal["rounds"]):
            bad.append(seal["id"])
        before = seal
    db.close()
    return bad
