"""Constraints: what a question wants of a column, and which products fulfil it.

Owns the comparison. How a constraint is read from a question is `question`'s.
"""

from dataclasses import dataclass

import numpy as np

from app.service.catalogue.facts import Column, ColumnKind, Facts, Mask, Numbers
from app.service.catalogue.products import Comparison, Understood
from app.service.catalogue.quantities import MONEY, NO_UNIT, Unit

ABOUT = 0.15
"""So far from a number, as a share of it, may be what is "about" it."""

_ROUNDING = 1e-9
_SIGNS = {
    Comparison.AT_MOST: "≤",
    Comparison.LESS: "<",
    Comparison.AT_LEAST: "≥",
    Comparison.MORE: ">",
    Comparison.ABOUT: "≈",
    Comparison.IS: "=",
    Comparison.IS_NOT: "≠",
}


@dataclass(frozen=True, slots=True)
class Constraint:
    """`low` and `high` are bounds in the base unit of a quantity; `values` the choices that are wanted or not."""

    column: Column
    comparison: Comparison
    said: str
    low: float = -np.inf
    high: float = np.inf
    unit: Unit = NO_UNIT
    values: tuple[str, ...] = ()
    wants: bool = True

    def mask(self, facts: Facts) -> Mask:
        """bool [products]. A product that does not say fulfils nothing but that it is not so."""
        match self.column.kind:
            case ColumnKind.FLAG:
                return np.asarray(self.column.flags == 1 if self.wants else self.column.flags != 1)
            case ColumnKind.CHOICE:
                have = np.zeros(facts.count, np.bool_)
                for value in self.values:
                    have[self.column.choices[value]] = True
                return have if self.comparison is Comparison.IS else ~have
        return self._in_bounds() & self._in_currency(facts)

    def distance(self, facts: Facts) -> Numbers:
        """How far each product is from fulfilling it, float64 [products]: 0 fulfils, 1 is as far as it can be."""
        if self.column.kind is not ColumnKind.QUANTITY:
            return (~self.mask(facts)).astype(np.float64)
        low, high = self.column.low, self.column.high
        below = np.maximum(self.low - high, 0) if np.isfinite(self.low) else np.zeros(facts.count)
        above = np.maximum(low - self.high, 0) if np.isfinite(self.high) else np.zeros(facts.count)
        scale = max(abs(bound) for bound in (self.low, self.high) if np.isfinite(bound)) or 1.0
        far = (below + above) / scale
        return np.where(np.isnan(far) | ~self._in_currency(facts), 1.0, far / (1 + far))

    def understood(self) -> Understood:
        """The constraint as it is told."""
        column, unit = self.column, self.unit.name
        if column.kind is ColumnKind.FLAG:
            word = "✓" if self.wants else "✗"
            return Understood(column.name, self.comparison, (self.wants,), "", self.said, f"{column.name} {word}")
        if column.kind is ColumnKind.CHOICE:
            wanted = " | ".join(self.values)
            words = f"{column.name} {_SIGNS[self.comparison]} {wanted}"
            return Understood(column.name, self.comparison, self.values, "", self.said, words)
        factor = self.unit.factor
        bounds = tuple(float(f"{each / factor:.10g}") for each in (self.low, self.high) if np.isfinite(each))
        shown = f" {unit}" if unit else ""
        if self.comparison is Comparison.BETWEEN:
            words = f"{column.name} {bounds[0]:g} – {bounds[1]:g}{shown}"
        else:
            if self.comparison is Comparison.ABOUT:
                bounds = (float(f"{sum(bounds) / 2:.10g}"),)
            words = f"{column.name} {_SIGNS[self.comparison]} {bounds[0]:g}{shown}"
        return Understood(column.name, self.comparison, tuple(dict.fromkeys(bounds)), unit, self.said, words)

    def _in_bounds(self) -> Mask:
        low, high = self.column.low, self.column.high
        room = _ROUNDING * max([abs(each) for each in (self.low, self.high) if np.isfinite(each)] or [0.0])
        with np.errstate(invalid="ignore"):
            match self.comparison:
                case Comparison.LESS:
                    return np.asarray(low < self.high - room)
                case Comparison.MORE:
                    return np.asarray(high > self.low + room)
            return np.asarray((low <= self.high + room) & (high >= self.low - room))

    def _in_currency(self, facts: Facts) -> Mask:
        if self.unit.kind != MONEY or self.column.name != "price" or not self.unit.name:
            return np.ones(facts.count, np.bool_)
        mask = np.zeros(facts.count, np.bool_)
        for code in (self.unit.name, ""):
            if code in facts.currencies:
                mask |= facts.currencies[code]
        return mask
