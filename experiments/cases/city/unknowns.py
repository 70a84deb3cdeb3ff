"""The control vector of the generated city: its blocks, their covariance and what solvers must know of them."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments import schema
from experiments.cases import Structure
from experiments.cases.city.build import City
from inversion.control import Block
from inversion.covariance import AbstractCovariance, BlockDiagonal, Diagonal, Scaled, exponential
from priors import synthetic
from transport.sampling import Receptor


def blocks_of(city: City, config: schema.Config, groups: np.ndarray) -> list[Block]:
    """The parts of the control vector; `groups` are those of the observations, of which overpasses have a bias."""
    control = schema.expect(config.control, schema.CityControl, "control", "city")
    prior, grid, nt = config.prior, city.grid, len(city.hours)
    assert isinstance(prior, schema.CityPrior)
    ny, nx = grid.shape
    radius = prior.urban_radius_km * 1e3
    area = synthetic.area_emission(grid, prior.urban_mt_per_year, prior.rural_mt_per_year, radius)
    green, day = synthetic.vegetation(grid, radius), city.day[:, None, None]
    light = synthetic.sunlight(city.local)
    warmth = 0.8 + 0.4 * light
    release = np.array([synthetic.stack_release(s) for s in city.stacks])
    per_day = Diagonal(np.full(city.days, control.sigma_biosphere))
    ones = np.ones(city.days)
    background = Diagonal(np.full(city.days, control.sigma_background_ppm))
    blocks = [
        Block(
            "area emission", "surface", synthetic.activity(city.local)[:, None, None] * area,
            np.arange(ny * nx).reshape(1, ny, nx), np.ones(ny * nx), _area_covariance(city, control, config.covariance),
        ),
        Block("respiration", "surface", prior.respiration * warmth[:, None, None] * green, day, ones, per_day),
        Block("uptake", "surface", -prior.uptake * light[:, None, None] * green, day, ones, per_day),
        Block("background", "inflow", np.ones(nt), city.day, prior.background_ppm * ones, background, unit="ppm"),
    ]  # fmt: skip
    if city.stacks:
        n = len(city.stacks)
        blocks.insert(1, Block(
            "point sources", "points", np.broadcast_to(release, (nt, n)), np.arange(n), np.ones(n),
            Diagonal(np.full(n, control.sigma_points)),
        ))  # fmt: skip
    names = [o.name for o in config.observations.overpasses if (groups == o.name).any()]  # type: ignore[attr-defined]
    if names:
        index = np.array([names.index(g) if g in names else 0 for g in groups])
        sigma = Diagonal(np.full(len(names), control.sigma_overpass_ppm))
        pattern = np.isin(groups, names).astype(float)
        blocks.append(Block("overpass bias", "observation", pattern, index, np.zeros(len(names)), sigma, unit="ppm"))
    return blocks


def _area_covariance(city: City, control: schema.CityControl, covariance: schema.Covariance) -> AbstractCovariance:
    sigma = np.full(city.grid.shape[0] * city.grid.shape[1], control.sigma_area)
    if isinstance(covariance, schema.ExponentialCovariance):
        return Scaled(sigma, exponential(city.grid.distances(), covariance.length_km))
    return Diagonal(sigma)


EMISSIONS = ("area emission", "point sources")
BIOSPHERE = ("respiration", "uptake")


def structure_of(city: City, blocks: list[Block], receptors: list[Receptor], config: schema.Config) -> Structure:
    """Signs, days, places and levels of the unknowns, by block."""
    grid = city.grid
    x, y = np.meshgrid(*(0.5 * (edges[1:] + edges[:-1]) for edges in (grid.x_edges, grid.y_edges)))
    in_cells = np.stack(grid.lonlat(x.ravel(), y.ravel()), axis=1)
    windows, places = [], []
    for block in blocks:
        daily = block.name in (*BIOSPHERE, "background")
        windows.append(np.arange(block.size) if daily else np.full(block.size, -1))
        if block.name == "area emission":
            places.append(in_cells)
        elif block.name == "point sources":
            places.append(in_cells[city.transport.injection.row * grid.shape[1] + city.transport.injection.column])
        else:
            places.append(np.full((block.size, 2), np.nan))
    scaled = [np.full(b.size, b.name in EMISSIONS + BIOSPHERE) for b in blocks]
    levels = [name for name in EMISSIONS if any(b.name == name for b in blocks)]
    trend = [np.concatenate([np.full(b.size, float(b.name == name)) for b in blocks]) for name in levels]
    correlated = isinstance(config.covariance, schema.ExponentialCovariance)
    assert isinstance(config.control, schema.CityControl)
    others = tuple(b.covariance for b in blocks if b.name != "area emission")
    return Structure(
        positive=np.concatenate(scaled),
        windows=np.concatenate(windows),
        places=np.concatenate(places),
        observed_at=np.stack(
            grid.lonlat(np.array([r.x for r in receptors]), np.array([r.y for r in receptors])), axis=1
        ),
        trend_names=tuple(f"level of the {name}" for name in levels),
        trend=np.stack(trend, axis=1),
        prior_of_length=PriorOfLength(jnp.asarray(grid.distances()), config.control.sigma_area, others)
        if correlated
        else None,
        length_km=config.covariance.length_km if isinstance(config.covariance, schema.ExponentialCovariance) else None,
    )


class PriorOfLength(eqx.Module):
    """Correlation length (km) of the area emission ↦ B; the area emission is the first block.

    Args:
        distances: (cells, cells) km.
        sigma: standard deviation of the area emission.
        others: covariances of the other blocks.
    """

    distances: Float[Array, "c c"]
    sigma: float
    others: tuple[AbstractCovariance, ...]

    def __call__(self, length_km) -> AbstractCovariance:
        """B."""
        area = Scaled(jnp.full(len(self.distances), self.sigma), exponential(self.distances, length_km))
        return BlockDiagonal((area, *self.others))
