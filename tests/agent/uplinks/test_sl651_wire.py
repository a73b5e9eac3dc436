"""SL 651-2014: published frames read to the sheet's fields and written again, to the bit; and each rule by itself.

Expected values come from the published frames, the standard's own examples and hand-made frames; a second check sum,
bit by bit, stands beside ours.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.main import main

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sl651.json").read_text(encoding="utf-8"))
NAMED = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


@NAMED
def test_published_frames_print_exactly_the_fields_of_the_sheet(vector, capsys):
    assert main(["frame", "sl651", vector["hex"], "--json", "--lang", "en"]) == 0
    output = capsys.readouterr()
    assert (json.loads(output.out), output.err) == (vector["fields"], "")
