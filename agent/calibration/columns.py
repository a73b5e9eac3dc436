"""The columns of a calibration table: what they may be called in both languages, and in which units. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    TIME = "time"
    DAY = "day"
    NUMBER = "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One thing that a table may say. `units`: what a number may be given in, as factors to the unit in its name.

    `bare`: a header without unit means the unit in its name; else it has to say which.
    """

    name: str
    words: tuple[str, ...]
    kind: Kind = Kind.NUMBER
    units: Mapping[str, Fraction] | None = None
    bare: bool = True


_Units = Mapping[str, int | Fraction]

_SECOND = Fraction(1, 60)
_MINUTES: _Units = {"min": 1, "分": 1, "分钟": 1, "h": 60, "小时": 60, "时": 60, "s": _SECOND, "秒": _SECOND}
_KWH: _Units = {"kwh": 1, "kw·h": 1, "kw.h": 1, "度": 1, "千瓦时": 1, "wh": Fraction(1, 1000), "mwh": 1000}
_M3: _Units = {"m3": 1, "立方米": 1, "方": 1, "l": Fraction(1, 1000), "升": Fraction(1, 1000)}
_METRES: _Units = {"m": 1, "米": 1, "cm": Fraction(1, 100)}
_MPA: _Units = {"mpa": 1, "kpa": Fraction(1, 1000), "bar": Fraction(1, 10)}
_KW: _Units = {"kw": 1, "千瓦": 1, "w": Fraction(1, 1000)}
_HZ: _Units = {"hz": 1, "赫兹": 1, "赫": 1}


def _text(name: str, *words: str) -> Column:
    return Column(name=name, words=words, kind=Kind.TEXT)


def _time(name: str, *words: str) -> Column:
    return Column(name=name, words=words, kind=Kind.TIME)


def _number(name: str, units: _Units, *words: str, bare: bool = True) -> Column:
    factors = MappingProxyType({unit: Fraction(factor) for unit, factor in units.items()})
    return Column(name=name, words=words, units=factors, bare=bare)


COLUMNS = (
    _text("run", "no", "number", "序号", "编号", "次序", "次", "试验", "测次", "轮次"),
    _text("well", "well_code", "井号", "机井", "机井编号", "井", "取水口"),
    _text("season", "from_day", "季节", "季节起日", "起日"),
    _text("mode", "delivery_mode", "输水方式", "出水方式", "灌溉方式"),
    _text("note", "remark", "remarks", "备注", "说明"),
    Column(name="day", words=("date", "日期", "试验日期", "测试日期", "率定日期"), kind=Kind.DAY),
    _time("start", "begin", "from", "start_time", "开始", "开始时间", "起始时间", "开机时间"),
    _time("end", "stop", "to", "end_time", "结束", "结束时间", "终止时间", "停机时间"),
    _number("minutes", _MINUTES),
    _number("minutes", _MINUTES, "duration", "time", "历时", "时长", "运行时间", "抽水时间", bare=False),
    _number("energy_kwh", _KWH, "energy", "electricity", "e", "电量", "用电量", "耗电量", "有功电量"),
    _number("energy_from", _KWH, "energy_start", "register_from", "电表起码", "电表起", "电表起数",
            "起始电表读数", "电表始读数"),
    _number("energy_to", _KWH, "energy_end", "register_to", "电表止码", "电表止", "电表止数",
            "结束电表读数", "电表终读数"),
    _number("volume_m3", _M3, "volume", "water", "v", "水量", "出水量", "取水量", "抽水量"),
    _number("volume_from", _M3, "volume_start", "水表起码", "水表起", "水表起数", "起始水表读数", "水表始读数"),
    _number("volume_to", _M3, "volume_end", "水表止码", "水表止", "水表止数", "结束水表读数", "水表终读数"),
    _number("depth_m", _METRES, "depth", "depth_to_water", "level_depth", "埋深", "动水位埋深", "水位埋深", "动水位"),
    _number("pressure_mpa", _MPA, "pressure", "压力", "出口压力", "出水压力", "表压", bare=False),
    _number("power_kw", _KW, "power", "p", "功率", "有功功率", "运行功率"),
    _number("frequency_hz", _HZ, "frequency", "f", "频率"),
    _number("u_m3", _M3, "u", "u_volume", "水量不确定度", "不确定度"),
    _number("drop_energy_kwh", _KWH, "drop_energy", "稳定前电量", "降深段电量"),
    _number("drop_volume_m3", _M3, "drop_volume", "稳定前水量", "降深段水量"),
)  # fmt: skip

_BRACKET = re.compile(r"^(?P<word>.*?)\s*(?:[(\[]\s*(?P<unit>[^)\]]+?)\s*[)\]]|/\s*(?P<slash>\S+))$")


def plain(text: str) -> str:
    """A text as it is compared: full-width forms as half-width ones, small letters, no blanks at its ends."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _word(text: str) -> str:
    return re.sub(r"[\s_.\-:]+", "", text)


_BY_WORD = {_word(plain(word)): column for column in COLUMNS for word in (*column.words, column.name)}
_BY_WORD |= {_word(column.name): column for column in COLUMNS if column.bare}


def words() -> list[str]:
    """Every word that a header may be, without unit."""
    return [word for column in COLUMNS for word in (column.name, *column.words)]


class UnitMissing(ValueError):
    """The header has to say its unit; `units` are those possible."""

    def __init__(self, units: Mapping[str, Fraction]) -> None:
        super().__init__(" ".join(units))
        self.units = tuple(units)


def column_of(header: str) -> tuple[Column, Fraction] | None:
    """The column that a header names, and the factor to its unit; None for a header of the person's own.

    Raises:
        UnitMissing: its unit is not said, or is none of those possible.
    """
    text = plain(header)
    unit: str | None = None
    if found := _BRACKET.match(text):
        text, unit = found["word"], found["unit"] or found["slash"]
    column = _BY_WORD.get(_word(text))
    if column is None and unit is None:
        head, _, tail = text.replace(" ", "_").rpartition("_")
        column, unit = _BY_WORD.get(_word(head)), tail
        if column is None or tail not in (column.units or {}):
            return None
    if column is None:
        return None
    if column.units is None:
        return column, Fraction(1)
    if unit is None:
        if not column.bare and _word(text) != _word(column.name):
            raise UnitMissing(column.units)
        return column, Fraction(1)
    if unit not in column.units:
        raise UnitMissing(column.units)
    return column, column.units[unit]


def scaled(value: Decimal, factor: Fraction) -> Decimal:
    """A number in the unit of its column's name."""
    return value * factor.numerator / factor.denominator
