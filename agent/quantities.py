"""The canonical quantities: the one waist between meters and platforms. Units follow from the quantity."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A physical meaning with its fixed unit. `counter`: only grows, until rollover or replacement.

    `is_total`: an amount added up over the meter's life, whether it only grows or not.
    """

    name: str
    unit: str
    zh: str
    en: str
    counter: bool = False

    @property
    def is_total(self) -> bool:
        """Whether it is a sum over the meter's life."""
        return self.counter or self.name == "volume_net"


STATUS = "status"  # the only quantity whose value is a set of named flags

FLAGS = MappingProxyType(
    {  # flag: (zh, en)
        "empty_pipe": ("空管", "pipe empty"),
        "no_signal": ("无信号", "no signal"),
        "low_signal": ("信号低", "low signal"),
        "poor_signal": ("信号差", "poor signal"),
        "meter_fault": ("表计故障", "meter fault"),
        "high_alarm": ("上限报警", "high alarm"),
        "low_alarm": ("下限报警", "low alarm"),
        "excitation_fault": ("励磁故障", "excitation fault"),
        "gain_adjusting": ("增益调整中", "gain adjusting"),
        "output_over_range": ("输出超量程", "output over range"),
        "input_over_range": ("输入超量程", "input over range"),
        "memory_fault": ("存储器故障", "memory fault"),
        "clock_fault": ("时钟故障", "clock fault"),
        "temperature_fault": ("测温回路故障", "temperature circuit fault"),
        "error_pending": ("有未处理故障", "error pending"),
        "zero_adjusting": ("零点调整中", "zero adjusting"),
        "totalizer_held": ("累计停止", "totalizer held"),
        "battery_low": ("电池电压低", "battery low"),
        "reverse_flow": ("反向流", "reverse flow"),
        "electrode_fault": ("电极故障", "electrode fault"),
        "power_fault": ("供电故障", "power supply fault"),
        "valve_open": ("阀门已开", "valve open"),
        "valve_closed": ("阀门已关", "valve closed"),
        "valve_fault": ("阀门异常", "valve fault"),
        "relay_open": ("表内继电器断开", "relay open: cut off by the meter"),
        "active_power_reverse": ("有功功率反向", "active power reversed"),
        "active_power_reverse_a": ("A 相有功反向", "active power of phase A reversed"),
        "active_power_reverse_b": ("B 相有功反向", "active power of phase B reversed"),
        "active_power_reverse_c": ("C 相有功反向", "active power of phase C reversed"),
        "voltage_lost_a": ("A 相失压", "voltage of phase A lost"),
        "voltage_lost_b": ("B 相失压", "voltage of phase B lost"),
        "voltage_lost_c": ("C 相失压", "voltage of phase C lost"),
        "current_lost_a": ("A 相失流", "current of phase A lost"),
        "current_lost_b": ("B 相失流", "current of phase B lost"),
        "current_lost_c": ("C 相失流", "current of phase C lost"),
        "phase_broken_a": ("A 相断相", "phase A broken"),
        "phase_broken_b": ("B 相断相", "phase B broken"),
        "phase_broken_c": ("C 相断相", "phase C broken"),
        "voltage_sequence_reverse": ("电压逆相序", "voltage sequence reversed"),
        "current_sequence_reverse": ("电流逆相序", "current sequence reversed"),
        "program_fault": ("程序错误", "program fault"),
    }
)

_ALL = (
    Quantity(name="volume_forward", unit="m3", zh="正向累计水量", en="forward volume", counter=True),
    Quantity(name="volume_reverse", unit="m3", zh="反向累计水量", en="reverse volume", counter=True),
    Quantity(name="volume_net", unit="m3", zh="净累计水量", en="net volume"),
    Quantity(name="flow_rate", unit="m3/h", zh="瞬时流量", en="flow rate"),
    Quantity(name="velocity", unit="m/s", zh="流速", en="velocity"),
    Quantity(name="energy_import", unit="kWh", zh="正向有功电能", en="imported energy", counter=True),
    Quantity(name="energy_export", unit="kWh", zh="反向有功电能", en="exported energy", counter=True),
    Quantity(name="power", unit="kW", zh="有功功率", en="active power"),
    Quantity(name="voltage_a", unit="V", zh="A 相电压", en="voltage, phase A"),
    Quantity(name="voltage_b", unit="V", zh="B 相电压", en="voltage, phase B"),
    Quantity(name="voltage_c", unit="V", zh="C 相电压", en="voltage, phase C"),
    Quantity(name="current_a", unit="A", zh="A 相电流", en="current, phase A"),
    Quantity(name="current_b", unit="A", zh="B 相电流", en="current, phase B"),
    Quantity(name="current_c", unit="A", zh="C 相电流", en="current, phase C"),
    Quantity(name="frequency", unit="Hz", zh="频率", en="frequency"),
    Quantity(name="power_factor", unit="", zh="功率因数", en="power factor"),
    Quantity(name="pressure", unit="kPa", zh="压力", en="pressure"),
    Quantity(name="level", unit="m", zh="水位", en="water level above datum"),
    Quantity(name="depth_to_water", unit="m", zh="埋深", en="depth to water"),
    Quantity(name="temperature", unit="°C", zh="温度", en="temperature"),
    Quantity(name="ct_ratio", unit="", zh="电流互感器变比", en="current transformer ratio"),
    Quantity(name="pt_ratio", unit="", zh="电压互感器变比", en="voltage transformer ratio"),
    Quantity(name="supply_voltage", unit="V", zh="电源电压", en="supply voltage"),
    Quantity(name=STATUS, unit="", zh="状态", en="status"),
    # Of an intake: what its account says, over all of its meters.
    Quantity(name="volume_withdrawn", unit="m3", zh="累计取水量", en="withdrawn volume", counter=True),
    Quantity(name="volume_hour", unit="m3", zh="小时取水量", en="volume of the hour before"),
    Quantity(name="volume_day", unit="m3", zh="日取水量", en="volume of the day before"),
    Quantity(name="energy_pumping", unit="kWh", zh="抽水电能", en="energy that pumped", counter=True),
)

QUANTITIES = MappingProxyType({quantity.name: quantity for quantity in _ALL})

_FLOWS = frozenset({"flow_rate", "power", "level", "depth_to_water"})


def is_total_or_flow(name: str) -> bool:
    """Whether this is what a meter is there for: its totals, its flow or power, a level."""
    return name in _FLOWS or QUANTITIES[name].is_total
