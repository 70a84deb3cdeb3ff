"""How a value weighs the air above the ground."""

import dataclasses

import numpy as np

from transport.errors import TanhengError


@dataclasses.dataclass(frozen=True, eq=False)
class Vertical:
    """Averaging kernels, a-priori profiles and pressure weights of n columns, from the ground up.

    y = y_a + Σ_i h_i a_i (x_i − x_a,i)        (Rodgers & Connor 2003, doi 10.1029/2002JD002299, eq. 15)

    A product on layers gives m + 1 pressure edges and x_i is the mean over a layer; a product on levels gives m
    pressures and x_i is the value there. Rows with fewer layers than others, or without a column, are padded with NaN.

    Args:
        pressure: (n, k) Pa, decreasing: edges or levels.
        layered: (n,) True where `pressure` are edges.
        weights: (n, m) h: sum to one for column means. For columns in mol m-2 the dry air of the layer, mol m-2.
        kernel: (n, m) a.
        prior: (n, m) x_a of dry air, in the unit of the profile; NaN where the product has none.
        prior_value: (n,) y_a in the unit of the values; NaN where the product has none.

    Raises:
        TanhengError: shapes that disagree, or pressures that do not decrease.
    """

    pressure: np.ndarray
    layered: np.ndarray
    weights: np.ndarray
    kernel: np.ndarray
    prior: np.ndarray
    prior_value: np.ndarray

    def __post_init__(self):
        n, m = self.weights.shape
        shapes = {
            "pressure": (self.pressure.shape, ((n, m), (n, m + 1))),
            "layered": (self.layered.shape, ((n,),)),
            "kernel": (self.kernel.shape, ((n, m),)),
            "prior": (self.prior.shape, ((n, m),)),
            "prior_value": (self.prior_value.shape, ((n,),)),
        }
        for name, (got, allowed) in shapes.items():
            if got not in allowed:
                raise TanhengError(
                    f"{name} of columns has the wrong shape", got=got, expected=" or ".join(map(str, allowed)),
                    remedy="one row per column; m layers with m + 1 edges, or m levels",
                )  # fmt: skip
        if self.layered.any() and self.pressure.shape[1] != m + 1:
            raise TanhengError(
                "layers lack an edge", got=f"{self.pressure.shape[1]} pressures for {m} layers", expected=m + 1,
                remedy="give edges, or say that the product is on levels",
            )  # fmt: skip
        with np.errstate(invalid="ignore"):
            wrong = (np.diff(self.pressure, axis=1) >= 0).any(axis=1) | (self.pressure < 0).any(axis=1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise TanhengError(
                "pressures of a column do not decrease from the ground up",
                got=f"{int(wrong.sum())} of {n} columns; first {np.array2string(self.pressure[row], threshold=6)}",
                expected="decreasing and not negative, in Pa",
                remedy="turn the product round when it is read, or drop the column",
            )

    def take(self, rows) -> "Vertical":
        """Some of the columns."""
        return Vertical(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))

    @classmethod
    def none(cls, n: int) -> "Vertical":
        """Rows that are not columns."""
        empty = np.full((n, 1), np.nan)
        return cls(empty, np.zeros(n, bool), empty, empty, empty, np.full(n, np.nan))

    @classmethod
    def join(cls, parts: "list[Vertical]") -> "Vertical":
        """One under the other, padded to the widest."""
        levels = max(p.weights.shape[1] for p in parts)
        edges = (
            levels + 1 if any(p.layered.any() for p in parts) else max(levels, *(p.pressure.shape[1] for p in parts))
        )

        def stack(name: str, width: int) -> np.ndarray:
            return np.concatenate([
                np.pad(a, ((0, 0), (0, width - a.shape[1])), constant_values=np.nan)
                for a in (getattr(p, name) for p in parts)
            ])  # fmt: skip

        return cls(
            stack("pressure", edges), np.concatenate([p.layered for p in parts]), stack("weights", levels),
            stack("kernel", levels), stack("prior", levels), np.concatenate([p.prior_value for p in parts]),
        )  # fmt: skip
