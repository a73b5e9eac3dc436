"""Why a simulated centre does not carry out an order: a code and what fills its sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.messages import Messages

_NOTHING = "–"  # where nothing was given


class OrderError(Exception):
    """An order that means nothing or cannot be carried out.

    `code` names the sentence (`simulated_centre.refused.CODE`) and `arguments` fill it; `step` counts the steps of a
    script from 1, None at a console.
    """

    def __init__(self, code: str, /, **arguments: object) -> None:
        super().__init__(" ".join([code, *(f"{name}={value}" for name, value in arguments.items())]))
        self.code = code
        self.arguments = arguments
        self.step: int | None = None

    def event(self) -> dict[str, Any]:
        """What is said about it, for machines."""
        step = {} if self.step is None else {"step": self.step}
        return {"event": "order.refused", "code": self.code, "arguments": self.arguments, **step}


def sentence_of(event: Mapping[str, Any], messages: Messages) -> str:
    """What a person reads of an event `order.refused`: what is wrong, what was expected, what to type."""
    arguments = {name: _NOTHING if value == "" else value for name, value in event["arguments"].items()}
    detail = messages.text(f"simulated_centre.refused.{event['code']}", **arguments)
    return messages.text("simulated_centre.in_step", step=event["step"], detail=detail) if "step" in event else detail
