"""Profiles: what the package carries decodes its own frames; what a site adds is checked as strictly."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest

from agent.entries import Entry, Factor
from agent.form.nodes import read_text
from agent.form.problems import FormErrors
from agent.messages import Messages, problem_lines
from agent.profiles import Library, read_profile
from agent.quantities import STATUS
from agent.replay import UNCOVERED, replayed
from agent.settings import Profile
from drivers.contract import BadChecksum, Malformed, WireError, WrongAddress
from drivers.registry import DRIVERS

SHIPPED = Library(drivers=DRIVERS).names()
HEAD = """\
profile: own
title: {zh: 自有, en: own}
source: own manual
protocol: modbus
"""
ITEM = "{quantity: flow_rate, table: holding, register: 0, type: f32"
STATUS_ITEM = "{quantity: status, table: input, register: 0, type: u16"


def profile(text: str) -> Profile:
    return read_profile(read_text(HEAD + text, "own.yaml"), "own", DRIVERS)


def found(text: str, head: str = HEAD) -> list[tuple[int, str, str]]:
    with pytest.raises(FormErrors) as caught:
        read_profile(read_text(head + text, "own.yaml"), "own", DRIVERS)
    assert list(problem_lines(Messages("zh"), caught.value.problems))
    return [(each.line, each.path, each.code) for each in caught.value.problems]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_decodes_its_frames_to_what_it_says(name: str) -> None:
    loaded = Library(drivers=DRIVERS).load(name)
    assert loaded.tests
    for outcome in replayed(loaded, DRIVERS[loaded.protocol]()):
        assert outcome.error is None
        assert [field for field in outcome.fields if not field.passed] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_the_frames_of_a_shipped_profile_cover_all_of_its_quantities(name: str) -> None:
    loaded = Library(drivers=DRIVERS).load(name)
    expected = {quantity for test in loaded.tests for quantity, value in test.expect.items() if value is not None}
    assert expected == {entry.quantity for entry in loaded.entries}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_says_where_it_is_from_and_bounds_its_values(name: str) -> None:
    loaded = Library(drivers=DRIVERS).load(name)
    assert len(loaded.source) > 20
    assert loaded.tested in {"document", "simulator", "hardware"}
    for entry in loaded.entries:
        if entry.quantity != STATUS:
            assert entry.low is not None
            assert entry.high is not None
    driver = DRIVERS[loaded.protocol]()
    for test in loaded.tests:
        assert all(driver.recall(*exchange) for exchange in test.exchanges), "unsound frames raise"


def test_the_published_frames_of_the_l_mag_are_among_its_tests() -> None:
    """Source: requests and replies of L-mag boards that went round in public, check sums verified."""
    exchanges = [exchange for test in Library(drivers=DRIVERS).load("l-mag").tests for exchange in test.exchanges]
    frames = {frame.hex(" ").upper() for exchange in exchanges for frame in exchange}
    published = {
        "01 04 10 10 00 02 74 CE",
        "01 04 04 C4 1C 60 00 2F 72",
        "01 04 08 00 00 70 71 3F 00 00 00 5F 22",
        "01 04 10 24 00 01 75 01",
        "01 04 02 00 01 78 F0",
        "01 04 10 10 00 16 74 C1",
    }
    assert published <= frames


def factors(name: str, quantity: str) -> dict[int, tuple[Factor, ...]]:
    entry = Library(drivers=DRIVERS).load(name).entry(quantity)
    assert isinstance(entry, Entry)
    return {factor.item.register: factor.codes for factor in entry.factors}  # type: ignore[attr-defined,misc]


def test_unit_codes_are_exact() -> None:
    """Sources: TUF-2000F manual (multiplier 0..7 is x0.001..x10000); NIST SP 811 B.8 (gallons, cubic foot)."""
    codes = factors("tuf2000", "volume_forward")
    assert codes[1438] == {n: Decimal(10) ** (n - 3) for n in range(8)}
    assert codes[1437] == {
        0: 1,
        1: Decimal("0.001"),
        2: Decimal(231) * Decimal("16.387064") / 1_000_000,  # a US gallon is 231 cubic inches of 16.387064 cm3
        3: Decimal("0.00454609"),
        4: Decimal("3785.411784"),
        5: Decimal("0.3048") ** 3,
    }
    assert factors("l-mag", "flow_rate")[4128] == {
        0: Decimal("3.6"),  # L/s
        1: Decimal("0.06"),
        2: Decimal("0.001"),
        3: 3600,
        4: 60,
        5: 1,
    }


def test_a_profile_compiles_to_items_with_what_they_inherit() -> None:
    loaded = profile("""\
items:
  - quantity: volume_forward
    table: input
    order: cdab
    sum: [{register: 8, type: i32}, {register: 10, type: f32, order: abcd, scale: 0.001}]
    times: [{register: 20, type: u16, table: holding, codes: {0: 1, 0x1: "0.1"}}, {register: 21, type: i16, power_of_ten: true}]
    scale: 0.5
    offset: -1
    range: [0, null]
  - quantity: status
    table: holding
    register: 71
    type: u16
    flags: [{flag: empty_pipe, bit: 3}, {flag: meter_fault, register: 72, not_equals: 0}, {flag: low_alarm, register: 0x48, equals: 2}]
""")  # noqa: E501
    item = DRIVERS["modbus"]().item
    volume, status = loaded.entries
    assert [(part.item, part.scale) for part in volume.parts] == [
        (item({"table": "input", "register": 8, "type": "i32", "order": "cdab"}), 1),
        (item({"table": "input", "register": 10, "type": "f32", "order": "abcd"}), Decimal("0.001")),
    ]
    assert [factor.codes for factor in volume.factors] == [{0: 1, 1: Decimal("0.1")}, None]
    assert [factor.power_of_ten for factor in volume.factors] == [False, True]
    assert volume.factors[0].item == item({"table": "holding", "register": 20, "type": "u16", "order": "cdab"})
    assert (volume.scale, volume.offset, volume.low, volume.high) == (Decimal("0.5"), -1, 0, None)
    assert status.parts == ()
    assert [(test.flag, test.bit, test.equals, test.not_equals) for test in status.flags] == [
        ("empty_pipe", 3, None, None),
        ("meter_fault", None, None, 0),
        ("low_alarm", None, 2, None),
    ]
    assert [test.item.register for test in status.flags] == [71, 72, 72]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("item", "path", "code"),
    [
        (ITEM + ", regster: 1}", "items[0].regster", "spec.unknown-key"),
        (ITEM + ", scal: 1}", "items[0].scal", "spec.unknown-key"),
        ("{quantity: flow_rate, table: holding, type: f32}", "items[0].register", "spec.register"),
        ("{quantity: flow_rate, register: 1, type: f32}", "items[0].table", "spec.missing-key"),
        (ITEM.replace("holding", "hold") + "}", "items[0].table", "spec.choice"),
        (ITEM.replace("f32", "float") + "}", "items[0].type", "spec.choice"),
        (ITEM.replace("register: 0", "register: 65535") + "}", "items[0].register", "spec.register"),
        (ITEM.replace("register: 0", "register: 40001.0") + "}", "items[0].register", "spec.register"),
        (ITEM.replace("register: 0", "register: 0012") + "}", "items[0].register", "bare-value"),
        (ITEM + ", order: acbb}", "items[0].order", "spec.order"),
        (ITEM + ", bits: [0, 3]}", "items[0].bits", "spec.bits"),
        (ITEM + ', missing: ["zz"]}', "items[0].missing", "spec.missing"),
        (ITEM.replace("flow_rate", "flow") + "}", "items[0].quantity", "quantity"),
        (ITEM + ", scale: x}", "items[0].scale", "number"),
        (ITEM + ", range: [5, 1]}", "items[0].range", "range-order"),
        (ITEM + ", range: 5}", "items[0].range", "range"),
        (ITEM + ", flags: [{flag: empty_pipe, bit: 1}]}", "items[0].flags", "flags-elsewhere"),
        (ITEM + ", times: [{register: 9, codes: {0: 1}, power_of_ten: true}]}", "items[0].times[0]", "factor-kind"),
        (ITEM + ", times: [{register: 9, type: u16, codes: {a: 1}}]}", "items[0].times[0].codes", "codes"),
        (ITEM + ", times: [{register: 9, type: u17}]}", "items[0].times[0].type", "spec.choice"),
        (ITEM + ", sum: [{register: 0}, {registre: 2}]}", "items[0].sum[1].registre", "spec.unknown-key"),
        (ITEM.replace("flow_rate", "status") + "}", "items[0]", "status-flags"),
        (STATUS_ITEM + ", scale: 2, flags: [{flag: empty_pipe, bit: 1}]}", "items[0].scale", "status-number"),
        (STATUS_ITEM + ", flags: [{flag: empty, bit: 1}]}", "items[0].flags[0].flag", "flag"),
        (STATUS_ITEM + ", flags: [{flag: empty_pipe}]}", "items[0].flags[0]", "flag-test"),
        (STATUS_ITEM + ", flags: [{flag: empty_pipe, bit: 1, equals: 0}]}", "items[0].flags[0]", "flag-test"),
        (STATUS_ITEM + ", flags: [{flag: empty_pipe, bit: 99}]}", "items[0].flags[0].bit", "too-large"),
    ],
)  # fmt: skip
def test_a_wrong_item_is_named_at_the_key_that_is_wrong(item: str, path: str, code: str) -> None:
    assert (6, path, code) in found(f"items:\n  - {item}\n")


def test_an_inherited_mistake_is_shown_where_it_was_written() -> None:
    text = """\
items:
  - quantity: volume_forward
    table: holding
    order: wxyz
    sum: [{register: 0, type: u32}, {register: 2, type: u32}]
"""
    assert found(text) == [(8, "items[0].order", "spec.order")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("items: []", (5, "items", "too-few")),
        (f"items: [{ITEM}}}, {ITEM}}}]", (5, "items[1].quantity", "quantity-twice")),
        (f"items: [{ITEM}}}]\nline: {{baud: 96}}", (6, "line.baud", "too-small")),
        (f"items: [{ITEM}}}]\nlimits: {{max_registers: many}}", (6, "limits.max_registers", "limit")),
        (f"items: [{ITEM}}}]\nlimits: {{max_gap: -1}}", (6, "limits.max_gap", "limit")),
    ],
)
def test_a_wrong_profile_is_refused_with_its_line(text: str, expected: tuple[int, str, str]) -> None:
    assert expected in found(text)


@pytest.mark.parametrize(
    ("test", "path", "code"),
    [
        ('expect: {flow_rate: "1"}, origin: constructed', "tests[0]", "test-frames"),
        ('request: "01", expect: {flow_rate: "1"}, origin: constructed', "tests[0]", "test-frames"),
        ('exchanges: [], reply: "01", expect: {flow_rate: "1"}, origin: constructed', "tests[0]", "test-frames"),
        ('request: "1", reply: "01", expect: {flow_rate: "1"}, origin: constructed', "tests[0].request", "hex"),
        ('request: "01", reply: "01", expect: {flow_rate: "1"}, origin: captured', "tests[0]", "test-note"),
        (
            'request: "01", reply: "01", expect: {power: "1"}, origin: constructed',
            "tests[0].expect.power",
            "test-quantity",
        ),
        (
            'request: "01", reply: "01", expect: {flow_rate: x}, origin: constructed',
            "tests[0].expect.flow_rate",
            "number",
        ),
        ('request: "01", reply: "01", expect: {}, origin: constructed', "tests[0].expect", "too-few"),
        ('request: "01", reply: "01", expect: {flow_rate: "1"}, origin: found', "tests[0].origin", "choice"),
    ],
)
def test_a_wrong_test_is_refused_at_its_place(test: str, path: str, code: str) -> None:
    assert (6, path, code) in found(f"items: [{ITEM}}}]\ntests: [{{{test}}}]")


def test_a_profile_is_called_as_its_file_and_speaks_a_known_protocol() -> None:
    head = HEAD.replace("profile: own", "profile: other").replace("modbus", "modbuz")
    assert found(f"items: [{ITEM}}}]\n", head) == [(1, "profile", "profile-name"), (4, "protocol", "protocol")]


def test_the_version_follows_the_content() -> None:
    text = f"items: [{ITEM}}}]\n"
    assert profile(text).version == hashlib.sha256((HEAD + text).encode()).hexdigest()[:8]
    assert profile(text + "# moved\n").version != profile(text).version


def test_a_library_takes_the_sites_directory_first_and_survives_its_absence(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(HEAD + f"items: [{ITEM}}}]\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a profile", encoding="utf-8")
    library = Library(drivers=DRIVERS, directories=(tmp_path, tmp_path / "none"))
    assert library.names() == tuple(sorted([*SHIPPED, "own"]))
    assert library.load("own").entries[0].quantity == "flow_rate"


@pytest.mark.parametrize("name", ["../profiles/tuf2000", "/etc/passwd", "TUF2000", "", "tuf2000.yaml"])
def test_a_profiles_name_never_leads_out_of_its_directory(name: str) -> None:
    assert not Library(drivers=DRIVERS).has(name)
    with pytest.raises(FormErrors) as caught:
        Library(drivers=DRIVERS).load(name)
    assert [each.code for each in caught.value.problems] == ["profile"]


def test_only_the_profiles_that_are_named_are_read(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("profile: [", encoding="utf-8")
    library = Library(drivers=DRIVERS, directories=(tmp_path,))
    assert library.load("tuf2000").name == "tuf2000"


def test_the_packaged_profiles_are_found_through_the_package() -> None:
    packaged = resources.files("agent") / "data" / "profiles"
    assert {f"{name}.yaml" for name in SHIPPED} == {file.name for file in packaged.iterdir()}


def crc(data: bytes) -> bytes:
    """Modbus over serial line V1.02, 6.2.2, by its own words; independent of the product's table."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
    return register.to_bytes(2, "little")


def replay(
    request: str = "01 03 00 00 00 02", reply: str = "01 03 04 41 48 00 00", expect: str = 'flow_rate: "12.5"'
) -> tuple[WireError | None, list[tuple[str | None, str | None, str]]]:
    """The error, and what did not come out as expected; frames without their CRC, unless they have a bad one (|)."""
    frames = []
    for text in (request, reply):
        data, _, bad = text.partition("|")
        frames.append((bytes.fromhex(data) + (bytes.fromhex(bad) or crc(bytes.fromhex(data)))).hex(" "))
    loaded = profile(
        f"items: [{ITEM}}}, {{quantity: power, table: holding, register: 9, type: u16}}]\n"
        f'tests: [{{request: "{frames[0]}", reply: "{frames[1]}", expect: {{{expect}}}, origin: constructed}}]\n'
    )
    (result,) = replayed(loaded, DRIVERS["modbus"]())
    assert result.passed == (not result.error and all(field.passed for field in result.fields))
    return result.error, [(field.expected, field.found, field.reason) for field in result.fields if not field.passed]


def test_a_replay_passes_only_when_the_frames_say_what_is_expected() -> None:
    assert replay() == (None, [])
    assert replay(expect='flow_rate: "12.50"') == (None, [])
    assert replay(expect='flow_rate: "12.6"') == (None, [("12.6", "12.5", "")])
    assert replay(expect="flow_rate: null") == (None, [(None, "12.5", "")])
    assert replay(reply="01 03 04 7F C0 00 00") == (None, [("12.5", None, "NOT_A_NUMBER")])
    assert replay(reply="01 03 04 7F C0 00 00", expect="flow_rate: null") == (None, [])


def test_a_quantity_whose_registers_are_not_in_the_frames_is_no_pass() -> None:
    assert replay(expect='power: "1"') == (None, [("1", None, UNCOVERED)])


@pytest.mark.parametrize(
    ("request_", "reply", "kind"),
    [
        ("01 03 00 00 00 02", "01 03 04 41 48 00 00|00 00", BadChecksum),
        ("01 03 00 00 00 02|00 00", "01 03 04 41 48 00 00", BadChecksum),
        ("01 03 00 00 00 02", "02 03 04 41 48 00 00", WrongAddress),
        ("01 03 00 00 00 02", "01 03 02 41 48", Malformed),
        ("01 03 00 00 00 02", "01 04 04 41 48 00 00", Malformed),
        ("01 03 00 00 00 02", "01 83 02", Malformed),
        ("01 06 00 00 00 02", "01 06 00 00 00 02", Malformed),
    ],
)
def test_frames_that_do_not_belong_together_prove_nothing(request_: str, reply: str, kind: type[WireError]) -> None:
    error, _ = replay(request_, reply)
    assert type(error) is kind
