"""Who may import whom (the table of the architecture page), read from the sources themselves."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Row of each module or package of `agent`; the longest name that fits counts.
ROWS = {
    "model": 1, "quantities": 1, "faults": 1, "schedule": 1, "entries": 1, "dtu": 1, "uplinks.contract": 1,
    "uplinks.dialogue": 1, "report.content": 1,
    "uplinks.sl651": 2, "uplinks.szy206": 2, "settings": 2, "form": 2, "messages": 2, "page": 2, "profiles": 2,
    "profile_form": 2, "config": 2, "config_intakes": 2, "archive": 2, "planning": 2, "decode": 2, "fingerprint": 2,
    "confirmation": 2, "library_page": 2, "scan.plan": 2, "scan.found": 2, "scan.identify": 2, "scan.interpret": 2,
    "scan.draft": 2, "probe.fits": 2, "probe.image": 2, "probe.starting": 2, "derive": 2, "calibration": 2,
    "rules": 2, "intakes": 2, "reports": 2, "report": 2, "qualify": 2, "replay": 2, "config_form": 2,
    "uplinks.mqtt_wire": 2, "uplinks.thingsboard_wire": 2, "uplinks.sl651_wire": 2, "uplinks.szy206_wire": 2,
    "signing": 3, "clock": 3, "board": 3, "photos": 3, "retry": 3, "logs": 3, "line": 3, "store": 3, "whole": 3,
    "closed_hours": 3,
    "uplinks.reporting": 4, "scan": 4, "probe": 4, "poll": 4, "forward": 4, "control": 4, "uploads": 4, "reminding": 4,
    "uplinks.mqtt": 4,
    "heads": 5, "verification": 5, "closings_check": 5, "package_check": 5, "export": 5, "supervise": 5, "wiring": 5,
    "station": 5, "client": 5, "loading": 5, "voucher_check": 5,
    "direct": 5, "documents": 5, "comparing": 5, "centres": 5, "outgoing": 5, "rates": 5, "declaring": 5,
    "reporting": 5, "freezing": 5, "explaining": 5, "revising": 5, "decoding": 5, "accepting": 5, "activating": 5,
    "entering": 5, "broadcasting": 5, "asking": 5, "scanning": 5, "bookkeeping": 5, "standing": 5, "hosting": 5,
    "orphans": 5,
    "daemon": 5,
    "uplinks.registry": 5,
    "cli": 6,
}  # fmt: skip
PURE_ROWS = (1, 2)
NO_SIBLINGS = (4, 6)
WORLD = {
    "socket", "select", "sqlite3", "serial", "termios", "paho", "subprocess", "signal", "threading", "multiprocessing",
    "time", "asyncio", "urllib", "http", "ssl", "tenacity", "structlog",
}  # fmt: skip
DISPATCHERS = {"cli.main", "cli.__main__"}  # dispatch to the verbs, which do not know each other


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module that is imported anywhere in the file; `from a import b` counts as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str | None:
    """The entry of ROWS that `agent.x.y` belongs to."""
    name = module.removeprefix("agent.")
    return max((part for part in ROWS if name == part or name.startswith(part + ".")), key=len, default=None)


@pytest.mark.parametrize("path", sources("agent"), ids=module_of)
def test_imports_inside_agent_point_up_the_table(path):
    module = module_of(path)
    if path.name == "__init__.py":
        assert not path.read_text(encoding="utf-8"), "every __init__.py stays empty"
        return
    own = part_of(module)
    assert own is not None, f"{module} has no row: give it one in ROWS and in the architecture page"
    for imported in imports(path):
        top = imported.split(".")[0]
        assert top not in {"simulators", "tests", "bench"}, f"{module} imports {imported}"
        if ROWS[own] in PURE_ROWS:
            assert top not in WORLD, f"{module} is pure and imports {imported}"
        other = part_of(imported) if top == "agent" else None
        if other is None or (other == own and ROWS[own] != 6):
            continue
        assert ROWS[other] <= ROWS[own], f"{module} (row {ROWS[own]}) imports {imported} (row {ROWS[other]})"
        if ROWS[own] in NO_SIBLINGS and ROWS[other] == ROWS[own]:
            names = {own, other} if ROWS[own] == 4 else {module, ".".join(imported.split(".")[:3])}
            siblings = module.removeprefix("agent.") not in DISPATCHERS and len(names) > 1
            shared = imported.startswith(("agent.cli.shared.", "agent.uplinks.contract."))
            assert not siblings or shared, f"{module} imports its sibling {imported}"


@pytest.mark.parametrize("path", sources("drivers"), ids=module_of)
def test_drivers_know_bytes_only(path):
    for imported in imports(path):
        top = imported.split(".")[0]
        assert top in {"drivers", "pymodbus", "__future__"} or (top in sys.stdlib_module_names and top not in WORLD), (
            imported
        )
        if top == "pymodbus":
            assert path.name == "modbus.py", "drivers/modbus.py alone imports pymodbus"


@pytest.mark.parametrize("path", sources("simulators"), ids=module_of)
def test_simulators_use_the_codecs_and_rows_one_and_two(path):
    allowed_above = {"simulators.demo"}  # runs the daemon as a process and reads its database afterwards
    for imported in imports(path):
        other = part_of(imported) if imported.startswith("agent.") else None
        if other is not None and module_of(path) not in allowed_above:
            assert ROWS[other] in PURE_ROWS, f"{path.name} imports {imported}"


def test_only_the_line_opens_ports_towards_meters():
    for path in sources("agent"):
        if path.parent.name != "line" and path.name != "board.py":
            assert not any(name.split(".")[0] == "serial" for name in imports(path)), path
