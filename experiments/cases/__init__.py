"""Cases: each assembles a problem and says what its totals, maps and observations mean."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Array

from inversion.budget import Measurand
from inversion.covariance import AbstractCovariance
from inversion.observations import Observations
from inversion.problem import Problem
from inversion.transport_parameters import TransportParameters


@dataclasses.dataclass(frozen=True)
class Citation:
    """A paper or data set that a configuration uses."""

    text: str
    doi: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class TotalSpec:
    """Totals to report: linear combinations of the control vector.

    Args:
        regions: (k,) name of the region (and sector) of each total.
        period: what the totals are a mean over, e.g. "2011-01-01/2013-12-31".
        weights: (k, n).
        unit: e.g. "Tg CO2 yr-1".
        truth: (k,) true totals where they are known (synthetic cases), else None.
        measurands: (k,) what each total is, exactly enough to compare it with an account; None where no account could
            state the same; empty: none of them.
    """

    regions: tuple[str, ...]
    period: str
    weights: np.ndarray
    unit: str
    truth: np.ndarray | None = None
    measurands: tuple[Measurand | None, ...] = ()


@dataclasses.dataclass(frozen=True)
class Mark:
    """A place drawn on the maps: kind is "tower" or "point source"."""

    lon: float
    lat: float
    label: str
    kind: str


@dataclasses.dataclass(frozen=True, eq=False)
class MapSpec:
    """A flux map: values per element, laid out on a rectangular grid.

    Args:
        title: what is drawn, e.g. "CO2 flux, five-day mean".
        unit: e.g. "µmol m-2 s-1".
        crs: anything that `pyproj.CRS` accepts; the axes of the grid.
        x_edges, y_edges: (nx+1,), (ny+1,) cell edges in that CRS (m or degrees).
        layout: (ny, nx) index of the element shown in each cell, −1 for none.
        weights: (v, n) value of each element per unit of control vector.
        truth: (v,) or None.
        marks: places.
        extent: (lon0, lon1, lat0, lat1) to draw for geographic grids, or None for the whole grid.
        coast: draw the coast line.
    """

    title: str
    unit: str
    crs: str
    x_edges: np.ndarray
    y_edges: np.ndarray
    layout: np.ndarray
    weights: np.ndarray
    truth: np.ndarray | None = None
    marks: tuple[Mark, ...] = ()
    extent: tuple[float, float, float, float] | None = None
    coast: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Structure:
    """What some solvers must know of the unknowns beyond mean and covariance; None where a case has no such thing.

    Args:
        positive: (n,) unknowns that cannot be negative, e.g. scalings of an emission.
        windows: (n,) time window of each element, −1 for elements of all times.
        places, observed_at: (n, 2), (m, 2) longitude and latitude of elements and observations; NaN without a place.
        trend_names, trend: covariates (n, p) of an unknown level.
        prior_of_length: correlation length (km) ↦ B, differentiable, with the configured standard deviations.
        length_km: the configured length.
        problem_of: names of transport parameters ↦ the family of problems in them, where the transport is our own.
        true_scales: parameters by name of the weather that made synthetic observations.
    """

    positive: np.ndarray | None = None
    windows: np.ndarray | None = None
    places: np.ndarray | None = None
    observed_at: np.ndarray | None = None
    trend_names: tuple[str, ...] = ()
    trend: np.ndarray | None = None
    prior_of_length: Callable[[Array], AbstractCovariance] | None = None
    length_km: float | None = None
    problem_of: Callable[..., TransportParameters] | None = None
    true_scales: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """An assembled case.

    Args:
        name: short name.
        title: one line for people.
        synthetic: True where observations were generated; every product then says so.
        species: "CO2" or "CH4".
        problem: what the solver gets.
        observations: rows of y, in the same order; kind "constraint" marks rows that are not measurements.
        totals, map: what to report.
        blocks: (name, size, unit) of the parts of the control vector, in order.
        truth: (n,) true control vector or None.
        citations: papers and data sets used.
        inputs: name of each input file to its SHA-256.
        seeds: name of each random seed to its value.
        notes: sentences that the report must carry.
        structure: what some solvers and tasks need besides.
    """

    name: str
    title: str
    synthetic: bool
    species: str
    problem: Problem
    observations: Observations
    totals: TotalSpec
    map: MapSpec
    blocks: tuple[tuple[str, int, str], ...]
    truth: np.ndarray | None = None
    citations: tuple[Citation, ...] = ()
    inputs: dict[str, str] = dataclasses.field(default_factory=dict)
    seeds: dict[str, int] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    structure: Structure = dataclasses.field(default_factory=Structure)
