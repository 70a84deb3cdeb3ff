"""Totals and map of the generated city."""

import numpy as np

from experiments import schema
from experiments.cases import MapSpec, Mark, TotalSpec
from experiments.cases.city.build import City
from inversion.budget import Measurand, mask_sha256
from inversion.control import Block
from priors import synthetic


def _flux_weights(city: City, blocks: list[Block]) -> tuple[np.ndarray, np.ndarray]:
    """Time-mean flux of each cell (µmol m-2 s-1) per unit of x: (cells, n) of people's emission, and of everything."""
    ny, nx = city.grid.shape
    size = sum(b.size for b in blocks)
    human, whole = np.zeros((ny * nx, size)), np.zeros((ny * nx, size))
    start = 0
    for block in blocks:
        span = slice(start, start + block.size)
        start += block.size
        part = np.zeros((ny * nx, block.size))
        if block.name == "area emission":
            part = np.diag(block.base.mean(axis=0).ravel())
            human[:, span] = part
        elif block.target == "points":
            cells = city.transport.injection.row * nx + city.transport.injection.column
            part[cells, np.arange(block.size)] = block.base.mean(axis=0) / city.grid.areas.ravel()[cells]
            human[:, span] = part
        elif block.target == "surface":
            for d in range(block.size):
                part[:, d] = (block.base * (block.index == d)).mean(axis=0).ravel()
        whole[:, span] = part
    return human, whole


def totals_of(city: City, config: schema.Config, blocks: list[Block], truth: np.ndarray) -> TotalSpec:
    """The city, its surroundings, the biosphere and each stack, as means over the run."""
    prior = config.prior
    assert isinstance(prior, schema.CityPrior)
    human, whole = _flux_weights(city, blocks)
    x, y = (a.ravel() for a in np.meshgrid(city.grid.x, city.grid.y))
    inside = np.hypot(x, y) <= 2.0 * prior.urban_radius_km * 1e3
    areas = city.grid.areas.ravel()
    megatonnes = synthetic.megatonnes_per_year(areas)
    weights = [
        (megatonnes * inside) @ human,
        (megatonnes * ~inside) @ human,
        megatonnes @ (whole - human),
    ]
    names = [
        f"City (within {2 * prior.urban_radius_km:.0f} km), anthropogenic",
        "Surroundings, anthropogenic",
        "Whole domain, biosphere",
    ]
    start = 0
    for block in blocks:
        if block.target == "points":
            release = synthetic.megatonnes_per_year(block.base.mean(axis=0))
            for i, stack in enumerate(city.stacks):
                row = np.zeros(len(truth))
                row[start + i] = release[i]
                weights.append(row)
                names.append(stack.name)
        start += block.size
    matrix = np.array(weights)
    end = city.start + np.timedelta64(len(city.hours), "h")
    within, beyond, whole_domain = (
        mask_sha256(city.grid, area.reshape(city.grid.shape)) for area in (inside, ~inside, inside | True)
    )
    measurands = (
        Measurand("CO2", names[0], within, city.start, end),
        Measurand("CO2", names[1], beyond, city.start, end),
        None,  # no account states the exchange of the biosphere by the hour
        # A stack is a sector of its own of the whole domain.
        *(Measurand("CO2", name, whole_domain, city.start, end, frozenset({name})) for name in names[3:]),
    )
    return TotalSpec(tuple(names), f"{city.start}Z/{end}Z", matrix, "Mt CO2 yr-1", matrix @ truth, measurands)


def map_of(city: City, config: schema.Config, blocks: list[Block], truth: np.ndarray) -> MapSpec:
    """Mean anthropogenic flux with towers and stacks."""
    human, _ = _flux_weights(city, blocks)
    marks = []
    for tower in config.observations.towers:  # type: ignore[attr-defined]
        lon, lat = city.grid.lonlat(tower.east_km * 1e3, tower.north_km * 1e3)
        marks.append(Mark(float(lon), float(lat), tower.name, "tower"))
    for stack in city.stacks:
        lon, lat = city.grid.lonlat(stack.x, stack.y)
        marks.append(Mark(float(lon), float(lat), stack.name, "point source"))
    return MapSpec(
        title="Anthropogenic CO2 flux, mean of the window",
        unit="µmol m-2 s-1",
        crs=city.grid.crs,
        x_edges=city.grid.x_edges,
        y_edges=city.grid.y_edges,
        layout=np.arange(human.shape[0]).reshape(city.grid.shape),
        weights=human,
        truth=human @ truth,
        marks=tuple(marks),
    )
