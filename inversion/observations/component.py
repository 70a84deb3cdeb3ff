"""One cause of error in a set of observations, and which values share it."""

import dataclasses

import numpy as np

# What a component may be about; the budget of a result sums by these names.
CAUSES = (
    "repeatability", "calibration", "scale conversion", "representativeness", "retrieval noise", "retrieval bias",
    "transport", "background", "aggregation",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Component:
    """Standard uncertainty of one cause.

    Rows with the same group share one error, R_ij = σ_i σ_j; rows with an empty group have errors of their own.

    Args:
        cause: one of `CAUSES`.
        sigma: (n,) ≥ 0 in the unit of the values; NaN where the source states none.
        groups: (n,) text: the cylinder, orbit, instrument … whose error it is.
    """

    cause: str
    sigma: np.ndarray
    groups: np.ndarray

    @classmethod
    def independent(cls, cause: str, sigma) -> "Component":
        """Every row its own error."""
        sigma = np.asarray(sigma, float)
        return cls(cause, sigma, np.full(sigma.shape, "", dtype="<U1"))

    @classmethod
    def shared(cls, cause: str, sigma, groups) -> "Component":
        """One error per group, `groups` (n,) or one name for all rows."""
        sigma = np.asarray(sigma, float)
        return cls(cause, sigma, np.broadcast_to(np.asarray(groups, dtype=str), sigma.shape).copy())

    def take(self, rows) -> "Component":
        """The same cause for some rows."""
        return Component(self.cause, self.sigma[rows], self.groups[rows])

    def scaled(self, factor) -> "Component":
        """Multiplied by (n,) or one factor, e.g. a unit."""
        return Component(self.cause, self.sigma * np.abs(factor), self.groups)
