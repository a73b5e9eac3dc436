"""What is asked of an SL 651 frame in tests: fields that are there, a rule that is broken."""

from __future__ import annotations

from agent.messages import LANGUAGES, Messages
from agent.uplinks.sl651_wire.codes import (
    Dialect,
)
from agent.uplinks.sl651_wire.fields import fields_of
from agent.uplinks.sl651_wire.lines import rows_of


def compact(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def has(data: bytes, expected: dict[str, object], *absent: str, **dialect: object) -> None:
    fields = fields_of(data, dialect=Dialect(**dialect))
    assert "error" not in fields, fields["error"]
    assert {key: fields.get(key, "absent") for key in expected} == expected
    assert [key for key in absent if key in fields] == []


def is_wrong(data: bytes, code: str, **arguments: object) -> None:
    error = fields_of(data)["error"]
    assert error["code"] == f"sl651_{code}"
    assert {key: error["arguments"].get(key) for key in arguments} == arguments
    for lang in LANGUAGES:
        assert error["arguments"]["clause"] in Messages(lang).text(f"frame.wrong.{error['code']}", **error["arguments"])


def rows_behind(key: str, fields: dict) -> list[tuple[str, object]]:
    rows = list(rows_of(fields))
    return rows[1 + [name for name, _ in rows].index(key) :]
