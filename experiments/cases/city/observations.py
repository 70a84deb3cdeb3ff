"""What is measured in the generated city: towers by the hour, columns along overpasses."""

import numpy as np

from experiments import schema
from experiments.cases.city.build import City
from inversion.observations import Component, Observations
from transport.constants import SECONDS_PER_HOUR
from transport.errors import TanhengError
from transport.sampling import Receptor, column_weights, height_weights, pressure_weights


def _window(hour: int) -> tuple[float, float]:
    """Start and end in seconds of an hour of the run."""
    return SECONDS_PER_HOUR * float(hour), SECONDS_PER_HOUR * float(hour + 1)


def _towers(city: City, config: schema.CityObservations) -> tuple[list[Receptor], list[str]]:
    daytime = (city.local >= config.first_local_hour) & (city.local < config.last_local_hour + 1)
    receptors, groups = [], []
    for tower in config.towers:
        weights = height_weights(city.levels.edges, tower.inlet_m)
        for hour in city.hours[daytime]:
            receptors.append(Receptor(tower.east_km * 1e3, tower.north_km * 1e3, *_window(hour), weights))
            groups.append(tower.name)
    return receptors, groups


def averaging_kernel(pressure: np.ndarray) -> np.ndarray:
    """Kernel of a generated near-infrared sounder: slightly above one near the ground, falling aloft."""
    return 1.03 - 0.25 * np.clip((6.0e4 - pressure) / 6.0e4, 0.0, None)


def _columns(city: City, config: schema.CityObservations) -> tuple[list[Receptor], list[str]]:
    """Soundings on a regular pattern inside each swath, on 20 layers of equal pressure thickness."""
    edges = np.linspace(city.levels.surface_pressure, 0.0, 21)
    weights = column_weights(
        city.levels.pressure_edges, edges, pressure_weights(edges), averaging_kernel(0.5 * (edges[1:] + edges[:-1]))
    )
    half = 0.5 * (city.grid.x_edges[-1] - city.grid.x_edges[0])
    receptors, groups = [], []
    for overpass in config.overpasses:
        hours = np.flatnonzero((city.day == overpass.day) & (np.floor(city.local) == overpass.local_hour))
        if hours.size == 0:
            raise TanhengError(
                f"overpass {overpass.name} lies outside the window",
                got=f"day {overpass.day}, local hour {overpass.local_hour}",
                expected=f"day 0…{city.days - 1}, an hour that the window holds",
                remedy="move or remove the overpass, or lengthen meteorology.hours",
            )
        heading, step = np.deg2rad(overpass.heading_deg), overpass.spacing_km * 1e3
        along, across = np.arange(-1.5 * half, 1.5 * half, step), np.arange(
            -0.5 * overpass.width_km * 1e3 + 0.5 * step, 0.5 * overpass.width_km * 1e3, step
        )  # fmt: skip
        s, t = (a.ravel() for a in np.meshgrid(along, across + overpass.offset_km * 1e3))
        x, y = s * np.sin(heading) + t * np.cos(heading), s * np.cos(heading) - t * np.sin(heading)
        over = np.flatnonzero((np.abs(x) < half) & (np.abs(y) < half))
        if over.size == 0:
            raise TanhengError(
                f"overpass {overpass.name} misses the domain", got="0 soundings",
                expected=f"a swath over ±{half / 1e3:.0f} km", remedy="change its offset, width, spacing or heading",
            )  # fmt: skip
        for i in over:
            receptors.append(Receptor(float(x[i]), float(y[i]), *_window(hours[0]), weights))
            groups.append(overpass.name)
    return receptors, groups


def _errors(towers: int, columns: int, config: schema.CityObservations) -> tuple[Component, ...]:
    """Of towers, then columns; zero where a cause does not apply."""
    of_towers = {"repeatability": config.tower_instrument_ppm, "transport": config.tower_transport_ppm}
    return (
        *(Component.independent(cause, np.r_[np.full(towers, s), np.zeros(columns)]) for cause, s in of_towers.items()),
        Component.independent("retrieval noise", np.r_[np.zeros(towers), np.full(columns, config.column_noise_ppm)]),
    )


def observe(city: City, config: schema.CityObservations) -> tuple[list[Receptor], Observations]:
    """Receptors and observations whose values are still to be drawn."""
    towers, tower_names = _towers(city, config)
    columns, column_names = _columns(city, config)
    receptors = towers + columns
    seconds = np.array([r.start for r in receptors]).astype("timedelta64[s]")
    draft = Observations(
        values=np.zeros(len(receptors)),
        start=city.start + seconds,
        end=city.start + np.array([r.end for r in receptors]).astype("timedelta64[s]"),
        groups=np.array(tower_names + column_names, dtype=str),
        components=_errors(len(towers), len(columns), config),
        species="CO2",
        unit="ppm",
        kinds=np.array(["tower"] * len(towers) + ["column"] * len(columns), dtype=str),
    )
    return receptors, draft


def above_the_model(config: schema.Config, receptors: list[Receptor]) -> np.ndarray:
    """(m,) what a column adds to h·a·x of the model's layers: its own prior, uniform at the background, ppm.

    y = x_a + Σ_i h_i a_i (x_i − x_a) = Σ_i h_i a_i x_i + x_a (1 − Σ_i h_i a_i)

    It is zero for a tower, whose weights sum to one.
    """
    assert isinstance(config.prior, schema.CityPrior)
    return config.prior.background_ppm * (1.0 - np.array([r.levels.sum() for r in receptors]))
