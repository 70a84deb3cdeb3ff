"""What the soundings of one overpass say of the emission.

    y = c + O T(F_coal x_coal + F_others x_others) + b₀ + b₁·(east, north) + β (albedo − mean) + ε

x scale the prior: of the coal field in every cell that has any, of all other sectors together. The background is fitted
with a constant and a gradient; a bias in proportion to the albedo of the ground too, which maps of XCH4 often have.
"""

import dataclasses

import jax.numpy as jnp
import lineax as lx
import numpy as np

from experiments import schema
from experiments.cases import MapSpec, Setup, Structure, TotalSpec
from experiments.cases.bowen_basin import files, soundings
from experiments.cases.bowen_basin.forward import day_of, inputs_of, notes_of
from experiments.cases.bowen_basin.inventory import Inventory
from experiments.cases.simulation import KILOGRAMS_PER_TONNE, MICROMOLES
from experiments.progress import stage
from inversion.budget import Measurand, mask_sha256
from inversion.control import Block, ControlMap, observation_columns
from inversion.covariance import BlockDiagonal, Diagonal, Scaled, exponential
from inversion.observations import Observations, mismatch
from inversion.problem import Problem
from transport.constants import SECONDS_PER_HOUR
from transport.grid import Grid
from transport.linear import materialise
from transport.units import molar_mass

COAL = "fugitive"
NANOMOLES = 1e3  # per µmol
# Gradients are per 100 km, the albedo's factor per 0.1.
DISTANCE, ALBEDO = 1e5, 0.1


def _flux(inventory: Inventory, grid: Grid) -> dict[str, np.ndarray]:
    """(ny, nx) µmol m-2 s-1 of the coal field and of everything else."""
    per_sector = inventory.mass / molar_mass("CH4") * MICROMOLES / grid.areas
    coal = inventory.sectors.index(COAL)
    return {"coal field": per_sector[coal], "other sectors": np.delete(per_sector, coal, axis=0).sum(axis=0)}


def _blocks(config: schema.Config, flux: dict[str, np.ndarray], grid: Grid, nt: int) -> list[Block]:
    control = schema.expect(config.control, schema.BowenControl, "control", "bowen_basin")
    coal, others = flux["coal field"], flux["other sectors"]
    mines = np.flatnonzero(coal.ravel() > 0.0)
    place = np.full(coal.size, 0)
    place[mines] = np.arange(mines.size)
    sigma = np.full(mines.size, control.sigma_cell)
    if isinstance(config.covariance, schema.ExponentialCovariance):
        distance = grid.distances()[np.ix_(mines, mines)]
        B = Scaled(sigma, exponential(distance, config.covariance.length_km))
    else:
        schema.expect(config.covariance, schema.DiagonalCovariance, "covariance", "bowen_basin")
        B = Diagonal(sigma)
    hours = np.ones((nt, 1, 1))
    return [
        Block("coal field", "surface", hours * coal, place.reshape(1, *coal.shape), np.ones(mines.size), B),
        Block("other sectors", "surface", hours * others, np.zeros((1, *coal.shape), int), np.ones(1),
              Diagonal(np.array([control.sigma_others]))),
    ]  # fmt: skip


def _background(control: schema.BowenControl, observed: Observations, x: np.ndarray, y: np.ndarray) -> list[Block]:
    """Offset, gradient and albedo bias, as columns at the soundings."""
    columns = {
        "background offset": (np.ones(len(observed)), control.sigma_offset_ppb, "ppb"),
        "background gradient east": ((x - x.mean()) / DISTANCE, control.sigma_gradient_ppb, "ppb/100 km"),
        "background gradient north": ((y - y.mean()) / DISTANCE, control.sigma_gradient_ppb, "ppb/100 km"),
    }
    if "surface_albedo" in observed.extra:
        albedo = observed.extra["surface_albedo"]
        columns["albedo bias"] = ((albedo - albedo.mean()) / ALBEDO, control.sigma_albedo_ppb, "ppb per 0.1")
    return [
        Block(name, "observation", pattern, np.zeros(len(observed), int), np.zeros(1), Diagonal(np.array([sigma])),
              unit=unit)
        for name, (pattern, sigma, unit) in columns.items()
    ]  # fmt: skip


def assemble(config: schema.Config) -> Setup:
    """The inverse problem of the configured day.

    Raises:
        TanhengError: an option that the case cannot use, a scheme without transpose, missing or altered files.
    """
    errors = schema.expect(config.observations, schema.BowenSoundings, "observations", "bowen_basin")
    control = schema.expect(config.control, schema.BowenControl, "control", "bowen_basin")
    case = config.case
    assert isinstance(case, schema.BowenBasinCase)
    assert isinstance(config.transport, schema.EulerianTransport)
    with stage("weather, prior and soundings"):
        day, T, inventory = day_of(config)
        T.require_linear()
        seen = soundings.seen(files.require_soundings(day.observed), day.air, config.transport.split, day.inflow)
        observed, grid = seen.observations, day.air.grid
        flux = _flux(inventory, grid)
        blocks = _blocks(config, flux, grid, T.meteorology.shape[0])
        blocks += _background(control, observed, *day.air.air(config.transport.split).place(observed.lon, observed.lat))
    with stage("H, row by row from the adjoint") as progress:
        S = ControlMap(blocks, T.in_structure())
        H = materialise(T.sampled(seen.seen.operator) @ S, progress=progress)
        H = H + jnp.asarray(observation_columns(blocks, len(observed)))
    problem = Problem(
        H=lx.MatrixLinearOperator(H), x_b=jnp.concatenate([jnp.asarray(b.mean, dtype=float) for b in blocks]),
        B=BlockDiagonal(tuple(b.covariance for b in blocks)), y=jnp.asarray(observed.values),
        R=mismatch.covariance(observed, {soundings.CORRELATED: errors.correlation_km}),
        b=jnp.full(len(observed), day.inflow),
    )  # fmt: skip
    n, size = problem.x_b.size, sum(b.size for b in blocks[:2])
    return Setup(
        name="bowen_basin",
        title=f"CH4 of the Bowen Basin coal field, one TROPOMI overpass, {case.date.value}",
        synthetic=False,
        species="CH4",
        problem=problem,
        observations=observed,
        totals=_totals(flux, grid, n, case.date.value),
        map=_map(flux["coal field"], grid, n),
        blocks=tuple((b.name, b.size, b.unit) for b in blocks),
        structure=Structure(positive=np.arange(n) < size),
        citations=files.CITATIONS,
        inputs=inputs_of(day),
        notes=(
            day.why,
            seen.assumption,
            *notes_of(case.date.value),
            "One overpass, four hours after the start of the run: the soundings see emissions of these hours only, and "
            "their scatter is several times the enhancement that the prior predicts. Read the reduction of u and the "
            "degrees of freedom before the value.",
            f"The mismatch ({errors.noise_ppb:g} ppb of each sounding ⊕ {errors.correlated_ppb:g} ppb correlated over "
            f"{errors.correlation_km:g} km) is what makes the soundings most probable under the prior (maximum "
            "marginal likelihood); the file states a constant 20 ppb. χ² near one is therefore no independent check.",
        ),
    )


def _totals(flux: dict[str, np.ndarray], grid: Grid, n: int, date: str) -> TotalSpec:
    rate = molar_mass("CH4") / MICROMOLES * SECONDS_PER_HOUR / KILOGRAMS_PER_TONNE
    coal, others = (f * grid.areas * rate for f in flux.values())
    mines = coal.ravel()[coal.ravel() > 0.0]
    weights = np.zeros((3, n))
    weights[0, : mines.size] = mines
    weights[1, mines.size] = others.sum()
    weights[2] = weights[0] + weights[1]
    names, period = ("coal field", "other sectors", "all sectors"), (f"{date}T00", f"{date}T04")
    area = mask_sha256(grid, np.ones(grid.shape))
    everything = Measurand("CH4", "Bowen Basin", area, np.datetime64(period[0]), np.datetime64(period[1]))
    measurands = (dataclasses.replace(everything, sectors=frozenset({COAL})), None, everything)
    return TotalSpec(names, "/".join(f"{t}Z" for t in period), weights, "t CH4 h-1", measurands=measurands)


def _map(coal: np.ndarray, grid: Grid, n: int) -> MapSpec:
    mines = np.flatnonzero(coal.ravel() > 0.0)
    layout = np.full(coal.size, -1)
    layout[mines] = np.arange(mines.size)
    weights = np.zeros((mines.size, n))
    weights[np.arange(mines.size), np.arange(mines.size)] = NANOMOLES * coal.ravel()[mines]
    return MapSpec(
        title="CH4 flux of the coal field", unit="nmol m-2 s-1", crs=grid.crs, x_edges=grid.x_edges,
        y_edges=grid.y_edges, layout=layout.reshape(coal.shape), weights=weights,
    )  # fmt: skip
