"""The names of the quality rules. Source: metering guideline sheet §7."""

from __future__ import annotations

RULES = tuple(f"R{number}" for number in range(1, 22))
