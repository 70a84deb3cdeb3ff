"""Weighted sums of observations z = Σ_i w_i y_i: what becomes of their errors, columns, places and words.

Errors of their own add in squares, errors that rows share add before they are squared (JCGM 100:2008, 5.2.2, note 1);
columns are combined so that the operator of the sum is the sum of the operators.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations
from inversion.observations.vertical import Vertical
from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Which rows make which sum, with which weight.

    Args:
        rows: (k,) rows of the set, in the order of `targets`.
        targets: (k,) index of the sum that each enters, ascending and without gaps.
        weights: (k,) w; they may be negative.
    """

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, keep: np.ndarray | None = None, weights: np.ndarray | None = None) -> "Plan":
        """Means over rows of one label, in the order of the labels; `weights` (n,) are normalised to Σ w = 1."""
        kept = np.arange(len(labels)) if keep is None else np.flatnonzero(keep)
        targets = np.unique(labels[kept], return_inverse=True)[1]
        order = np.argsort(targets, kind="stable")
        rows, targets = kept[order], targets[order]
        w = np.ones(rows.size) if weights is None else weights[rows]
        return cls(rows, targets, w / np.bincount(targets, w)[targets])

    @property
    def size(self) -> int:
        """Number of sums."""
        return int(self.targets[-1]) + 1

    @property
    def first(self) -> np.ndarray:
        """(size,) the first row of each sum."""
        return self.rows[np.flatnonzero(np.r_[True, np.diff(self.targets) > 0])]

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Σ w v of (n, …) values; NaN where one is NaN."""
        weighted = self.weights.reshape(-1, *[1] * (values.ndim - 1)) * values[self.rows]
        return np.add.reduceat(weighted, self.starts, axis=0)

    @property
    def starts(self) -> np.ndarray:
        """(size,) where each sum begins in `rows`."""
        return np.flatnonzero(np.r_[True, np.diff(self.targets) > 0])

    def reduce(self, function: np.ufunc, values: np.ndarray) -> np.ndarray:
        """(size,) e.g. np.minimum over the rows of each sum."""
        return function.reduceat(values[self.rows], self.starts)

    def counts(self) -> np.ndarray:
        """(size,) rows in each sum."""
        return np.bincount(self.targets)


def components(plan: Plan, causes: tuple[Component, ...], inflation: np.ndarray | None = None) -> tuple:
    """Errors of the sums.

    σ² = f Σ_i w_i² σ_i² over rows with errors of their own;  σ = |Σ_i w_i σ_i| over rows that share one

    Args:
        plan: rows and weights.
        causes: components of the rows; NaN stays unknown.
        inflation: (size,) f ≥ 1 for errors of their own that follow one another in time, or None.

    Returns:
        One component per cause for own errors, and as many for shared ones as the sums have different groups at
        most. A shared error that enters with a negative total belongs to group "−name": R holds no negative terms.
    """
    found = []
    for name in dict.fromkeys(c.cause for c in causes):
        same = [c for c in causes if c.cause == name]
        sigma = np.stack([c.sigma[plan.rows] for c in same])
        groups = np.stack([c.groups[plan.rows] for c in same])
        own = groups == ""
        if own.any():
            squares = np.where(own, (plan.weights * sigma) ** 2, 0.0).sum(axis=0)
            factor = 1.0 if inflation is None else inflation
            variance = np.bincount(plan.targets, squares, plan.size)
            found.append(Component.independent(name, np.sqrt(factor * variance)))
        if not own.all():
            which, rows = np.nonzero(~own)
            found += _shared(name, plan, rows, (plan.weights * sigma)[which, rows], groups[which, rows])
    return tuple(found)


def _shared(cause: str, plan: Plan, rows: np.ndarray, weighed: np.ndarray, groups: np.ndarray) -> list[Component]:
    """The k-th group of each sum goes into the k-th component; a group may come from several components."""
    names, code = np.unique(groups, return_inverse=True)
    pairs, pair = np.unique(plan.targets[rows] * names.size + code, return_inverse=True)
    total = np.bincount(pair, weighed)
    target, name = pairs // names.size, names[pairs % names.size]
    slot = np.arange(pairs.size) - np.searchsorted(target, target)
    parts = []
    for k in range(int(slot.max()) + 1):
        at = slot == k
        own_sigma, own_groups = np.zeros(plan.size), np.full(plan.size, "", dtype=f"<U{names.dtype.itemsize // 4 + 1}")
        own_sigma[target[at]] = np.abs(total[at])
        own_groups[target[at]] = np.where(total[at] < 0.0, np.char.add("−", name[at]), name[at])
        parts.append(Component(cause, own_sigma, own_groups))
    return parts


def columns(plan: Plan, vertical: Vertical | None, tolerance: float, middles: np.ndarray | None = None):
    """One operator per sum, whose result for any profile on its layers is the sum of the rows' results.

    h̄ = Σ_k w_k h_k,  ā = Σ_k w_k h_k a_k / h̄,  x̄_a = Σ_k w_k h_k a_k x_a,k / Σ_k w_k h_k a_k,  ȳ_a = Σ_k w_k y_a,k

    Args:
        plan: rows and weights, Σ w = 1.
        vertical: of the rows, or None.
        tolerance: Pa by which pressures of one layer may differ within a sum.
        middles: (k,) distance of each row of the plan from the middle of its sum: where grids differ the operator of
            the nearest row is taken; None: that is refused.

    Raises:
        TanhengError: grids that differ.
    """
    if vertical is None:
        return None
    rows, targets = plan.rows, plan.targets
    first = plan.first[targets]
    p, reference = vertical.pressure[rows], vertical.pressure[first]
    near = np.where(np.isnan(p) & np.isnan(reference), True, np.abs(p - reference) <= tolerance).all(axis=1)
    near &= vertical.layered[rows] == vertical.layered[first]
    near &= (np.isnan(vertical.weights[rows]) == np.isnan(vertical.weights[first])).all(axis=1)
    differ = np.bincount(targets, ~near, plan.size) > 0
    if differ.any() and middles is None:
        worst = rows[np.flatnonzero(~near)[0]]
        raise TanhengError(
            "columns on different pressure grids cannot be averaged",
            got=f"{int(differ.sum())} of {plan.size} means; first {np.array2string(vertical.pressure[worst])} Pa",
            expected=f"pressures that agree to {tolerance:g} Pa",
            remedy="widen the tolerance or narrow the window or cell; averaging.mean can take the nearest operator",
        )
    ha = vertical.weights * vertical.kernel
    with np.errstate(invalid="ignore", divide="ignore"):
        h, total = plan.sum(vertical.weights), plan.sum(ha)
        prior = plan.sum(ha * vertical.prior) / total
        # Where the kernel vanishes any prior serves.
        prior = np.where(total == 0.0, plan.sum(vertical.prior), prior)
        kernel = np.where(h == 0.0, plan.sum(vertical.kernel), total / h)
    mean = Vertical(
        plan.sum(vertical.pressure), vertical.layered[plan.first], h, kernel, prior, plan.sum(vertical.prior_value)
    )
    if not differ.any() or middles is None:
        return mean
    order = np.lexsort((middles, targets))
    nearest = vertical.take(rows[order][plan.starts])
    pick = {
        f.name: np.where(differ.reshape(-1, *[1] * (getattr(mean, f.name).ndim - 1)), getattr(nearest, f.name),
                         getattr(mean, f.name))
        for f in dataclasses.fields(mean)
    }  # fmt: skip
    return Vertical(**pick)


def _longitudes(plan: Plan, lon: np.ndarray) -> np.ndarray:
    """Means relative to the first of each sum, across the date line."""
    reference = lon.copy()
    reference[plan.rows] = lon[plan.first][plan.targets]
    away = (lon - reference + 180.0) % 360.0 - 180.0
    return (lon[plan.first] + plan.sum(away) + 180.0) % 360.0 - 180.0


def together(plan: Plan, observations: Observations, own: Mapping) -> Observations:
    """Means as observations: windows united, places averaged, words joined, further numbers averaged.

    Args:
        plan: rows and weights, Σ w = 1.
        observations: the rows.
        own: fields that the caller has made, at least components, vertical and steps.

    Raises:
        TanhengError: scales or kinds that differ within a mean.
    """
    o = observations
    for name in ("scales", "kinds"):
        values = getattr(o, name)
        mixed = values[plan.rows] != values[plan.first][plan.targets]
        if mixed.any():
            row = plan.rows[np.flatnonzero(mixed)[0]]
            raise TanhengError(
                f"a mean over different {name}", got=f"{sorted(set(values[plan.rows]))}; first at {o.groups[row]}, "
                f"{o.start[row].astype('datetime64[s]')}", expected=f"one of the {name} in each mean",
                remedy="convert scales first (scales.convert); keep kinds in groups of their own",
            )  # fmt: skip
    fields: dict = {name: getattr(o, name)[plan.first] for name in ("groups", "kinds", "scales")}
    fields |= {name: plan.sum(getattr(o, name)) for name in ("values", "lat", "height", "altitude")}
    fields |= {name: _joined(plan, getattr(o, name)) for name in ("flags", "instruments")}
    sames = plan.reduce(np.minimum, o.origin) == plan.reduce(np.maximum, o.origin)
    fields |= {
        "lon": _longitudes(plan, o.lon), "start": plan.reduce(np.minimum, o.start),
        "end": plan.reduce(np.maximum, o.end), "origin": np.where(sames, o.origin[plan.first], -1),
        "extra": {k: _extra(plan, k, np.asarray(v, float)) for k, v in o.extra.items()},
        "ends": _where_same(plan, o.ends), "corners": _where_same(plan, o.corners),
    }  # fmt: skip
    fields["extra"] |= own.get("extra", {})
    return o.replace(**(fields | {k: v for k, v in own.items() if k != "extra"}))


# Directions and codes have no mean.
_NO_MEAN = ("direction", "azimuth", "class", "mode", "flag", "type", "index", "pixel", "scanline", "number", "orbit")


def _extra(plan: Plan, name: str, values: np.ndarray) -> np.ndarray:
    """The weighted sum; of directions and codes the value where all are equal, else NaN."""
    if not any(word in name.lower() for word in _NO_MEAN):
        return plan.sum(values)
    low, high = np.full(plan.size, np.inf), np.full(plan.size, -np.inf)
    np.minimum.at(low, plan.targets, values[plan.rows])
    np.maximum.at(high, plan.targets, values[plan.rows])
    return np.where(low == high, low, np.nan)


def _joined(plan: Plan, words: np.ndarray) -> np.ndarray:
    if (words[plan.rows] == words[plan.first][plan.targets]).all():
        return words[plan.first]
    return np.array(["/".join(np.unique(part)) for part in np.split(words[plan.rows], plan.starts[1:])])


def _where_same(plan: Plan, places: np.ndarray | None) -> np.ndarray | None:
    """(size, …) of what all rows of a mean agree in; NaN elsewhere."""
    if places is None:
        return None
    first = places[plan.first]
    same = np.isclose(places[plan.rows], first[plan.targets], rtol=0.0, atol=1e-9, equal_nan=True)
    differ = np.bincount(plan.targets, ~same.reshape(len(same), -1).all(axis=1), plan.size) > 0
    first[differ] = np.nan
    return first
