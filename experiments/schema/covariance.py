"""Correlation of the prior."""

from dataclasses import dataclass

from experiments.schema.limits import positive


@dataclass
class Covariance:
    """Correlation of the prior."""


@dataclass
class NoCovariance(Covariance):
    """Nothing is estimated."""


@dataclass
class DiagonalCovariance(Covariance):
    """No correlation."""


@dataclass
class ExponentialCovariance(Covariance):
    """exp(−d/L) between cells."""

    length_km: float = 10.0

    def __post_init__(self):
        positive(self, "covariance", "length_km")
