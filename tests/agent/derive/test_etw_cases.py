"""The published and constructed cases, and what their runner says about broken ones."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.etw.inputs import KINDS
from tests.etw.quality import RULES
from tests.etw_cases import agrees, evaluate, judge, main, read

VECTORS = Path(__file__).parents[2] / "vectors"
FILE = VECTORS / "etw_cases.json"
CASES = read(FILE)
FURTHER = read(VECTORS / "etw_further.json")  # kinds, options and bounds that no shared case reaches


@pytest.mark.parametrize("case", CASES + FURTHER, ids=lambda case: f"{case['id']}-{case['kind']}")
def test_every_case_lies_within_its_tolerance(case):
    ok, line = judge(case)
    assert ok, line


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_case_of_plain_floats_gives_the_same_digits(case):
    plain = json.loads(json.dumps(case, default=float))
    assert evaluate(plain) == evaluate(case)


def test_every_kind_and_rule_of_the_format_is_known_and_tried():
    assert {case["kind"] for case in CASES + FURTHER} == set(KINDS)
    assert {case["inputs"]["rule"] for case in CASES + FURTHER if case["kind"] == "qc_rule"} == set(RULES)


@pytest.mark.parametrize("case", FURTHER, ids=lambda case: case["id"])
def test_a_case_gives_all_keys_of_its_kind_and_always_the_same_ones(case):
    same = [other for other in CASES + FURTHER if other["kind"] == case["kind"]]
    assert len({frozenset(evaluate(other)) for other in same}) == 1


@pytest.mark.parametrize(
    ("name", "inputs", "word"),
    [
        ("no_such_kind", {}, "no_such_kind"),
        ("qc_rule", {"rule": "no_such_rule"}, "no_such_rule"),
        ("aux_load", {"energy_total_kwh": 1, "aux_constant_kw": 1, "tc": 1}, "dt_h"),
        ("register_delta", {"prev": 1, "curr": 2, "digits_int": 6, "rated_kw": 15, "dt_h": 0}, "dt_h"),
        ("uncertainty", {"tc": 1, "energy_kwh": 0}, "energy_kwh"),
        ("affine_head_volume", {"calibration": [{"level_depth_m": 1, "tc": 1}], "level_depth_m": 1}, "calibration"),
        ("quarter_report", {"quarter": "2024Q5", "tz": "Asia/Shanghai", "tc": 1, "readings": []}, "quarter"),
        ("quarter_report", {"quarter": "2024Q1", "tz": "Asia/Nowhere", "tc": 1, "readings": []}, "tz"),
        ("tc_from_rates", {"flow_l_per_s": 1, "power_kw": True, "tdh_m": 1}, "power_kw"),
        ("wls_fit", {"runs_energy_volume_u": [[1, 1, 0], [1, 1, 1]]}, "u"),
        ("physical_volume", {"energy_kwh": -1, "eta_overall": 0.5, "static_level_m": 20}, "energy_kwh"),
        ("fixed_tc_volume", {"readings": [["2024-01-01T00:00Z", 1]], "tc": 2, "rated_kw": 10}, "readings"),
        ("two_phase_volume", {"starts": -1}, "starts"),
        ("uncertainty", {"tc": 1, "energy_kwh": 1, "u_tc_rel": -1, "age_years": 0, "drift_per_year": 0}, "u_tc_rel"),
        (
            "piecewise_tc_volume",
            {"interval": ["2024-01-01T00:00Z", "2024-01-01T01:00Z"], "energy_kwh": 1,
             "segments": [{"id": "A", "version": 1, "tc": 1, "valid_from": "2024-01-01T00:30Z"}]},
            "segments",
        ),
        ("lift_energy", {"mass_tonnes": 1, "lift_m": 1, "eta_overall": 1.01, "reference_head_m": 1}, "eta_overall"),
        ("aux_load", {"energy_total_kwh": 1, "aux_constant_kw": 1, "tc": 1, "dt_h": 0}, "dt_h"),
        ("aux_load", {"energy_total_kwh": 1, "aux_constant_kw": -1, "tc": 1, "dt_h": 1}, "aux_constant_kw"),
        ("ct_multiplier", {"ct_primary_a": 100, "ct_secondary_a": 0}, "ct_secondary_a"),
        ("sample_size", {"n": 9, "z": 2, "rel_error": 0.1, "new_rel_error": 0}, "new_rel_error"),
        ("upload_rate", {"scheduled": 24, "unique_on_time": -1, "unique_late": 0}, "unique_on_time"),
        ("register_delta", {"prev": 1, "curr": 1000, "digits_int": 3, "rated_kw": 15, "dt_h": 1}, "curr"),
        ("meter_swap", {"prev": {"t": "2024-01-01T00:00Z"}, "event": {}, "curr": {}}, "event.t: missing"),
        (
            "meter_swap",
            {"prev": {"t": "2024-01-01T02:00Z", "register": 1}, "event": {"t": "2024-01-01T01:00Z"},
             "curr": {"t": "2024-01-01T03:00Z", "register": 1}},
            "event.t",
        ),
        ("multi_pump_one_meter", {"pumps": [{"id": "A", "run_h": 1}]}, "pumps[0].kw: missing"),
        ("piecewise_tc_volume", {"interval": ["2024-01-01T00:00Z"]}, "interval"),
        (
            "quarter_report",
            {"quarter": "2024Q1", "tz": "Asia/Shanghai", "tc": 1,
             "readings": [["2024-01-01T00:00+08:00", 9], ["2024-04-01T00:00+08:00", 8]]},
            "readings",
        ),
    ],
)  # fmt: skip
def test_what_a_rule_does_not_define_is_refused_by_name(name, inputs, word):
    ok, line = judge({"id": "x", "kind": name, "inputs": inputs, "expected": {"tc": 1}})
    assert not ok
    assert f"refused: {word}" in line or word in line.split("refused: ")[1]


def test_a_file_of_good_cases_ends_with_0_and_one_wrong_number_with_1(tmp_path, capsys):
    assert main([str(FILE)]) == 0
    assert capsys.readouterr().out.count("\n") == len(CASES)
    content = json.loads(FILE.read_text(encoding="utf-8"))
    content["cases"][0]["expected"]["volume_m3_from_flow"] *= 1.006
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(content), encoding="utf-8")
    assert main([str(wrong)]) == 1
    assert capsys.readouterr().out.startswith("FAIL S-L1")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "broken.json"),
        ("[]", "no list of cases"),
        ("{", "broken.json"),
        ("[" * 100_000, "recursion"),
        ('{"cases": {}}', "no list of cases"),
        ('{"cases": [1]}', "case 0 is not an object"),
        ('{"cases": [{}]}', "case 0 (without id): id"),
        ('{"cases": [{"id": "a", "kind": "wls_fit", "inputs": {}}]}', "case 0 (a): expected"),
        ('{"cases": [{"id": "a", "kind": "wls_fit", "inputs": {}, "expected": {}, "tol": 1}]}', "(a): tol"),
        ('{"cases": [{"id": "a", "kind": "wls_fit", "inputs": {}, "expected": {}, "tol": {"abs": -1}}]}', "(a): tol"),
        ('{"cases": [{"id": "a", "kind": "wls_fit", "inputs": {"n": [NaN]}, "expected": {}}]}', "(a): n: NaN"),
        (
            '{"cases": [{"id": "a", "kind": "wls_fit", "inputs": {}, "expected": {"x": -Infinity}}]}',
            "(a): x: -Infinity",
        ),
        ('{"cases": [1e99999999999999999999]}', "out of range"),
    ],
)
def test_a_broken_file_ends_with_2_and_says_where(tmp_path, capsys, text, word):
    broken = tmp_path / "broken.json"
    broken.write_text(text, encoding="utf-8")
    assert main([str(broken)]) == 2
    said = capsys.readouterr().err
    assert "broken.json" in said
    assert word in said


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    marked = tmp_path / "marked.json"
    marked.write_text(FILE.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert main([str(marked)]) == 0


def test_a_number_beyond_every_range_is_refused_in_its_own_line():
    inputs = {"prev": 1, "curr": 2, "digits_int": 10**9, "rated_kw": 1, "dt_h": 1}
    ok, line = judge({"id": "x", "kind": "register_delta", "inputs": inputs, "expected": {"flags": []}})
    assert not ok
    assert "out of range" in line


def test_no_file_ends_with_2(tmp_path):
    assert main([str(tmp_path / "none.json")]) == 2
    assert main([]) == 2


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        (1, Decimal("1.01"), True),
        (1, Decimal("1.03"), False),
        (True, 1, False),
        (None, 0, False),
        (0, Decimal("1e-10"), True),
        ([1, 2], [2, 1], False),
        ({"flags": ["A", "B"]}, {"flags": ["B", "A"]}, True),
        ({"flags": ["A"]}, {"flags": ["A", "B"]}, False),
        ({"states": ["A", "B"]}, {"states": ["B", "A"]}, False),
        ({"n_used": 4}, {"n_used": Decimal("4.01")}, False),
        ({"tc": 1}, {}, False),
        ({"tc": 1}, {"tc": 1, "more": 2}, True),
    ],
)
def test_results_are_compared_as_the_format_says(expected, got, same):
    assert agrees(expected, got, {"rel": Decimal("0.02")}) is same
