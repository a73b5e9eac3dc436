"""The arithmetic of the wire: nominal moments, no clock."""

from __future__ import annotations

import pytest

from simulators.meters.pacing import PlainReceiver, UsbReceiver, character_s, silence_s

CHARACTER_S = 0.001


@pytest.mark.parametrize(
    ("baud", "parity", "stop_bits", "bits"),
    [(9600, "none", 1, 10), (9600, "even", 1, 11), (2400, "odd", 1, 11), (9600, "none", 2, 11), (1200, "even", 2, 12)],
)
def test_a_character_is_a_start_bit_eight_data_bits_parity_and_stop_bits(
    baud: int, parity: str, stop_bits: int, bits: int
) -> None:
    assert character_s(baud, parity, stop_bits) == pytest.approx(bits / baud)


def test_the_silence_is_three_and_a_half_characters_up_to_19200_baud_and_fixed_above() -> None:
    assert silence_s(9600, character_s(9600, "none", 1)) == pytest.approx(3.5 * 10 / 9600)
    assert silence_s(19200, character_s(19200, "even", 1)) == pytest.approx(3.5 * 11 / 19200)
    assert silence_s(38400, character_s(38400, "none", 1)) == 0.00175
    assert silence_s(115200, character_s(115200, "none", 1)) == 0.00175


def test_a_plain_receiver_sees_each_byte_when_its_last_bit_has_passed() -> None:
    found = list(PlainReceiver().deliveries(100.0, CHARACTER_S, b"abc"))
    assert [each.data for each in found] == [b"a", b"b", b"c"]
    assert [each.at for each in found] == pytest.approx([100.001, 100.002, 100.003])


def test_a_latency_timer_hands_over_at_its_ticks() -> None:
    found = list(UsbReceiver(0.016).deliveries(0.010, CHARACTER_S, bytes(20)))
    assert [len(each.data) for each in found] == [6, 14]  # by 16 ms six bytes have passed
    assert [each.at for each in found] == pytest.approx([0.016, 0.032])


def test_a_full_packet_goes_at_once_and_starts_the_timer_again() -> None:
    found = list(UsbReceiver(0.016).deliveries(0.0, 0.0001, bytes(70)))
    assert [len(each.data) for each in found] == [62, 8]
    assert [each.at for each in found] == pytest.approx([0.0062, 0.0222])


def test_nothing_is_lost_or_reordered_in_a_usb_adapter() -> None:
    data = bytes(range(256))
    for character in (0.0001, 0.001, 0.004):
        found = list(UsbReceiver(0.016).deliveries(5.003, character, data))
        assert b"".join(each.data for each in found) == data
        assert [each.at for each in found] == sorted(each.at for each in found)
        assert all(0 < len(each.data) <= 62 for each in found)
