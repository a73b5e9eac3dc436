"""Orders to running meters: one JSON (or YAML) object a line, judged like a file, every mistake at its place.

`{"meter": "m3", "mischief": [{"kind": "dead"}]}` · `{"meter": "m3", "set": {"volume_forward": "12.5"}}` ·
`{"line": "rs485-1", "plugged": false}` · `{"stats": true}`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from agent.form.fields import Name, Section, Switch
from agent.form.judge import judged
from agent.form.nodes import Document, read_text
from agent.form.problems import FormErrors, near
from simulators.meters.bus import SimulatedLine
from simulators.meters.inverse import CannotShowError
from simulators.meters.meter import SimulatedMeter
from simulators.meters.station_form import Shown
from simulators.mischief import CannotMisbehaveError, Mischief

SOURCE = "stdin"


class OrderForm(Section):
    """What a running simulation can be told."""

    locale_name: ClassVar[str] = "sim-order"
    meter: Name | None = Field(None, description="the meter concerned")
    shown: dict[str, Annotated[Any, Shown()]] = Field({}, alias="set", description="what it shows from now on")
    mischief: list[Mischief] | None = Field(None, description="what it does wrong from now on; [] for nothing")
    line: Name | None = Field(None, description="the line concerned")
    plugged: Switch | None = Field(None, description="false unplugs the line, true plugs it in again")
    stats: Switch = Field(default=False, description="true prints the counters")


def carry_out(text: str, lines: Mapping[str, SimulatedLine]) -> OrderForm:
    """Does what an order says, and gives it.

    Raises FormErrors when it makes no sense, OSError when a port cannot be had.
    """
    document = read_text(text, SOURCE)
    form = judged(document, (), OrderForm)
    if form is not None:
        if form.meter is not None:
            _tell_meter(document, form, lines)
        elif form.line is not None and form.plugged is not None:
            _plug(document, form, lines)
        elif not form.stats:
            document.complain((), "sim-order")
    if form is None or document.problems:
        raise FormErrors(document.problems)
    return form


def _tell_meter(document: Document, form: OrderForm, lines: Mapping[str, SimulatedLine]) -> None:
    """Both parts of an order or none."""
    meters: dict[str, SimulatedMeter] = {name: each for line in lines.values() for name, each in line.meters.items()}
    meter = meters.get(form.meter or "")
    if meter is None:
        document.complain_reference(("meter",), "sim-meter", list(meters))
        return
    known = list(meter.image.entries)
    for quantity in form.shown:
        if quantity not in known:
            arguments = {"value": quantity, "allowed": " ".join(known), **near(quantity, known)}
            document.complain_key(("set", quantity), "meter-quantity", **arguments)
    if document.problems:
        return
    before = meter.mischief
    try:
        if form.mischief is not None:
            meter.mischief = tuple(form.mischief)
        meter.update(form.shown)
    except CannotMisbehaveError as error:
        document.complain(("mischief",), error.code, **error.arguments)
    except CannotShowError as error:
        meter.mischief = before
        document.complain(("set",), error.code, **error.arguments)


def _plug(document: Document, form: OrderForm, lines: Mapping[str, SimulatedLine]) -> None:
    line = lines.get(form.line or "")
    if line is None:
        document.complain_reference(("line",), "line", list(lines))
        return
    line.stop()
    if form.plugged:
        line.start()
