"""What the configuration already knows of the intake that is calibrated: nobody has to type it again."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from agent.derive.exact import ONE
from agent.intakes.settings import IntakeSettings


class NothingGiven(Exception):
    """The intake gives nothing: `code` names the sentence `coefficient.CODE`, `arguments` fill it."""

    def __init__(self, code: str, **arguments: object) -> None:
        super().__init__(f"{code} {arguments}")
        self.code = code
        self.arguments = arguments


class Given(NamedTuple):
    """`step` of the register in primary kWh; `id` is "" where the intake names several coefficients or none."""

    multiplier: Decimal
    step: Decimal
    well: str
    id: str
    heads: tuple[Decimal, Decimal] | None


def given_by(intakes: Mapping[str, IntakeSettings], name: str) -> Given:
    """What a calibration of that intake's pump begins with. Raises: NothingGiven."""
    if name not in intakes:
        raise NothingGiven("no_intake", value=name, known=" ".join(intakes) or "-")
    energy = intakes[name].energy
    if energy is None:
        raise NothingGiven("not_converted", value=name)
    multiplier = ONE if energy.register_is_primary else energy.ct_ratio * energy.pt_ratio
    ids = {each for pump in energy.pumps for each in pump.coefficients}
    return Given(
        multiplier=multiplier,
        step=energy.step_kwh * multiplier,
        well=intakes[name].code,
        id=ids.pop() if len(ids) == 1 else "",
        heads=energy.head_m,
    )
