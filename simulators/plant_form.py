"""The `plant:` section of a simulated station's file: well, pump, pipe and grid, all optional."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field, Strict

from agent.form.fields import DurationMs, Name, Number, NumberKind, Section

Positive = Annotated[Decimal, NumberKind(), Field(gt=0)]
NotNegative = Annotated[Decimal, NumberKind(), Field(ge=0)]
Share = Annotated[Decimal, NumberKind(), Field(gt=0, le=1)]
Duration = Annotated[int, DurationMs("1s", "30d")]


class WellForm(Section):
    """Levels in m above the station's datum."""

    locale_name: ClassVar[str] = "sim-well"
    ground_level: Number = Field(default=Decimal(50), description="m; depth to water counts from here")
    static_level: Number = Field(default=Decimal(38), description="m; water level after a long rest")
    specific_capacity: Positive = Field(default=Decimal(12), description="m3/h of inflow per m of drawdown")
    storage: Positive = Field(
        default=Decimal("2.5"), description="m2 of free water surface, the gravel's pores included"
    )
    trend: Number = Field(default=Decimal(0), description="m per year that the static level rises; negative: it falls")
    season: NotNegative = Field(default=Decimal(0), description="m that it swings up and down over a year")
    highest_day: NotNegative = Field(default=Decimal(60), description="day of the year on which it is highest")


class PumpForm(Section):
    """Head falls with the square of the flow; efficiency is best at one point."""

    locale_name: ClassVar[str] = "sim-pump"
    shutoff_head: Positive = Field(default=Decimal(62), description="m at no flow")
    best_flow: Positive = Field(default=Decimal(85), description="m3/h at best efficiency")
    best_head: Positive = Field(default=Decimal(46), description="m there")
    efficiency: Share = Field(default=Decimal("0.74"), description="of the pump there")
    motor_efficiency: Share = Field(default=Decimal("0.88"), description="of motor and cable")
    intake_level: Number = Field(default=Decimal(22), description="m above datum; below it the pump runs dry and trips")
    wear: NotNegative = Field(default=Decimal(0), description="share of the efficiency lost in a year")
    age: NotNegative = Field(default=Decimal(0), description="years of wear when the plant starts")
    speed: Share = Field(default=Decimal(1), description="share of its rated speed: a frequency converter's")
    on: Duration = Field(default=1_200_000, description="how long it runs, about")
    off: Duration = Field(default=300_000, description="how long it rests, about")


class PipeForm(Section):
    """The way to the outlet."""

    locale_name: ClassVar[str] = "sim-pipe"
    bore: Positive = Field(default=Decimal(150), description="mm, at the meter")
    outlet_level: Number = Field(default=Decimal(64), description="m above datum, where the water leaves")
    loss: Number = Field(default=Decimal(8), description="m of head at the pump's best flow, valves open")
    pressure: NotNegative = Field(default=Decimal(0), description="kPa asked for behind the outlet: sprinklers, drip")
    demand: Share = Field(default=Decimal("0.8"), description="how far the field's valves are open on average")


class GridForm(Section):
    """The supply."""

    locale_name: ClassVar[str] = "sim-grid"
    voltage: Positive = Field(default=Decimal(230), description="V, phase to neutral, no load")
    sag: Number = Field(default=Decimal("0.08"), description="V per A")
    frequency: Positive = Field(default=Decimal(50), description="Hz")
    standby: Positive = Field(default=Decimal("0.06"), description="kW of the pump house when the pump rests")
    auxiliary: NotNegative = Field(default=Decimal(0), description="kW of other loads on the meter, on all the time")


class SecondForm(Section):
    """A second pump on the same energy meter, with a well and a pipe of its own."""

    locale_name: ClassVar[str] = "sim-second"
    power: NotNegative = Field(default=Decimal(0), description="kW while it runs; 0: there is none")
    on: Duration = Field(default=1_800_000, description="how long it runs, from the start of the plant on")
    off: Duration = Field(default=2_700_000, description="how long it rests then")


class SwapForm(Section):
    """Another meter in the place of the old one, or another transformer."""

    locale_name: ClassVar[str] = "sim-swap"
    after: Duration = Field(description="plant time since its start")
    starts: NotNegative = Field(default=Decimal(0), description="what its counters show then")
    ratio: Positive | None = Field(default=None, description="its transformer's ratio; left out: the old one")


class FittedForm(Section):
    """The registers of a meter."""

    locale_name: ClassVar[str] = "sim-fitted"
    digits: Annotated[int, Strict(), Field(ge=1, le=15)] = Field(
        default=12, description="before the point; after the last number a counter begins again"
    )
    ratio: Positive = Field(
        default=Decimal(1), description="CT × PT: energy, power and current are shown divided by it"
    )
    swaps: list[SwapForm] = Field(default_factory=list, description="in the order of time")


class PlantForm(Section):
    """A pump house. The same seed gives the same day."""

    locale_name: ClassVar[str] = "sim-plant"
    seed: Annotated[int, Strict()] = Field(default=1, description="of everything that is chance")
    speed: Positive = Field(default=Decimal(1), description="plant seconds in a second, up to 3600")
    tick: Annotated[int, DurationMs("50ms", "60s")] = Field(
        default=500, description="how often the meters' registers change"
    )
    first_day: NotNegative = Field(default=Decimal(60), description="day of the year on which the plant starts")
    well: WellForm = Field(default_factory=WellForm)
    pump: PumpForm = Field(default_factory=PumpForm)
    pipe: PipeForm = Field(default_factory=PipeForm)
    grid: GridForm = Field(default_factory=GridForm)
    second: SecondForm = Field(default_factory=SecondForm)
    meters: dict[Name, FittedForm] = Field(default_factory=dict)
