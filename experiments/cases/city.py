"""SYNTHETIC: a generated basin city whose true emissions are known. Our own transport, towers and columns.

H = O · T · S + columns of bias,   x = area scaling per cell, stacks, respiration and uptake per day,
                                       background per day, bias per overpass
truth = a draw from the prior,     y = H x_true + a draw from R
"""

import dataclasses
import datetime
import enum

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Float

from experiments import schema
from experiments.cases import Citation, MapSpec, Mark, Setup, Structure, TotalSpec
from experiments.checks import Evidence, transport_evidence
from experiments.progress import stage
from experiments.schemes import scheme_of
from inversion.budget import Measurand, mask_sha256
from inversion.control import Block, ControlMap, observation_columns
from inversion.covariance import AbstractCovariance, BlockDiagonal, Diagonal, Scaled, exponential
from inversion.observations import Component, Observations, mismatch
from inversion.osse import replicate
from inversion.problem import Problem
from inversion.transport_parameters import BasinMixing, ScaledTransport, TransportParameters
from priors import synthetic
from transport.constants import SECONDS_PER_HOUR
from transport.errors import TanhengError
from transport.eulerian import EulerianTransport
from transport.grid import Grid
from transport.levels import IsothermalHeights
from transport.linear import adjoint_gap, materialise
from transport.readers.synthetic import Basin, basin_meteorology, local_hour
from transport.sampling import Receptor, Sampler, column_weights, height_weights, pressure_weights
from transport.sources import Injection

HOURS_PER_DAY = 24
# Truth and model share the operator, so the error of longer mixing steps cancels.
LONGEST_STEP = 900.0  # s

CITATIONS = (
    Citation(
        "Leonard, B. P. (1979): A stable and accurate convective modelling procedure based on quadratic upstream "
        "interpolation. Comput. Methods Appl. Mech. Eng. 19, 59–98.",
        "10.1016/0045-7825(79)90034-3",
    ),
    Citation(
        "Rodgers, C. D., Connor, B. J. (2003): Intercomparison of remote sounding instruments. J. Geophys. Res. 108.",
        "10.1029/2002JD002299",
    ),
    Citation(
        "Tarantola, A. (2005): Inverse Problem Theory and Methods for Model Parameter Estimation. SIAM.",
        "10.1137/1.9780898717921",
    ),
)


@dataclasses.dataclass(frozen=True, eq=False)
class City:
    """Grid, weather, inventory and the operators built on them."""

    grid: Grid
    levels: IsothermalHeights
    hours: np.ndarray
    local: np.ndarray
    stacks: list[synthetic.Stack]
    transport: EulerianTransport
    start: np.datetime64
    basin: Basin

    @property
    def day(self) -> np.ndarray:
        """(nt,) index of the 24 h period of each hour."""
        return self.hours // HOURS_PER_DAY

    @property
    def days(self) -> int:
        """Number of (possibly incomplete) days."""
        return int(self.day[-1]) + 1


def build(config: schema.Config) -> City:
    """Grid, weather and transport of the configured city.

    Raises:
        TanhengError: an option that the case cannot use, or a value out of range.
    """
    case = schema.expect(config.case, schema.CityCase, "case", "city")
    weather = schema.expect(config.meteorology, schema.BasinMeteorology, "meteorology", "city")
    prior = schema.expect(config.prior, schema.CityPrior, "prior", "city")
    transport = schema.expect(config.transport, schema.EulerianTransport, "transport", "city")
    _require_usable(transport)
    crs = f"+proj=laea +lat_0={case.latitude} +lon_0={case.longitude} +datum=WGS84 +units=m"
    edges = (np.arange(case.cells + 1) - case.cells / 2) * case.spacing_km * 1e3
    grid, levels = Grid(edges, edges, crs), IsothermalHeights(np.array(case.level_edges_m))
    hours = np.arange(weather.hours)
    start = _start(case.start)
    start_hour = float((start - start.astype("datetime64[D]")) / np.timedelta64(1, "h"))
    basin = Basin(**dataclasses.asdict(weather), start_hour_utc=start_hour)
    meteorology = basin_meteorology(grid, levels, basin)
    stacks = [
        synthetic.Stack(p.name, p.east_km * 1e3, p.north_km * 1e3, p.mt_per_year, p.height_m) for p in prior.points
    ]
    cells = np.array([grid.cell_of(s.x, s.y, s.name) for s in stacks], dtype=int).reshape(-1, 2)
    injection = Injection(
        row=cells[:, 0],
        column=cells[:, 1],
        profile=np.array([synthetic.injection_profile(levels, s.height) for s in stacks]).reshape(-1, levels.count),
    )
    return City(
        grid=grid,
        levels=levels,
        hours=hours,
        local=local_hour(hours, start_hour, weather.utc_offset),
        stacks=stacks,
        transport=EulerianTransport(
            meteorology,
            grid.areas,
            injection,
            scheme_of(transport),
            max_courant=transport.max_courant,
            max_seconds=transport.max_seconds or LONGEST_STEP,
        ),
        start=start,
        basin=basin,
    )


def _require_usable(transport: schema.EulerianTransport) -> None:
    """The generated city brings its own mixing, and its inversion needs the adjoint in double precision."""
    if transport.scheme in schema.LIMITED:
        raise TanhengError(
            "case city cannot use a limited scheme", got=f"transport.scheme={transport.scheme.value}",
            expected="upwind, third_order, fifth_order, seventh_order or ppm: a limited scheme depends on the field, "
            "so it has no adjoint, and the rows of H come from the adjoint",
            remedy="choose transport.scheme=ppm; limited schemes serve task=simulate",
        )  # fmt: skip
    default = schema.EulerianTransport()
    for name in ("mixing", "background_diffusivity", "precision", "split"):
        got, expected = getattr(transport, name), getattr(default, name)
        if got != expected:
            text = [v.name if isinstance(v, enum.Enum) else v for v in (got, expected)]
            raise TanhengError(
                f"case city cannot use transport.{name}", got=text[0],
                expected=f"{text[1]}: the generated weather brings its own mixing, hour by hour, in double precision",
                remedy=f"leave transport.{name} as it is",
            )  # fmt: skip


def _start(text: str) -> np.datetime64:
    try:
        parsed = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise TanhengError(
            "case.start is not a time", got=text, expected="ISO 8601 in UTC, e.g. 2025-04-06T16:00",
            remedy="write year-month-dayThour:minute",
        ) from error  # fmt: skip
    if parsed.tzinfo is not None:
        parsed = parsed.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(parsed, "s")


# --- observations -----------------------------------------------------------------------------------------------------
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


def _observe(city: City, config: schema.CityObservations) -> tuple[list[Receptor], Observations]:
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


# --- control vector ---------------------------------------------------------------------------------------------------
def _blocks(city: City, config: schema.Config, groups: np.ndarray) -> list[Block]:
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


# --- the problem ------------------------------------------------------------------------------------------------------
def chain(city: City, blocks: list[Block], receptors: list[Receptor]) -> lx.AbstractLinearOperator:
    """O · T · S as one operator."""
    T = city.transport
    S = ControlMap(blocks, T.in_structure())
    return T.sampled(Sampler(receptors, city.grid, T.out_structure().shape, T.meteorology.interval)) @ S


def assemble(config: schema.Config) -> Setup:
    """The problem of the generated city, with observations drawn from a known truth.

    Raises:
        TanhengError: an option that the case cannot use, or no observation.
    """
    observed = schema.expect(config.observations, schema.CityObservations, "observations", "city")
    with stage("weather and transport"):
        city = build(config)
        receptors, draft = _observe(city, observed)
        blocks = _blocks(city, config, draft.groups)
    with stage("H, row by row from the adjoint") as progress:
        H = materialise(chain(city, blocks, receptors), progress=progress)
        H = H + jnp.asarray(observation_columns(blocks, len(receptors)))
    return _setup(config, city, blocks, H, receptors, draft)


def _above_the_model(config: schema.Config, receptors: list[Receptor]) -> np.ndarray:
    """(m,) what a column adds to h·a·x of the model's layers: its own prior, uniform at the background, ppm.

    y = x_a + Σ_i h_i a_i (x_i − x_a) = Σ_i h_i a_i x_i + x_a (1 − Σ_i h_i a_i)

    It is zero for a tower, whose weights sum to one.
    """
    assert isinstance(config.prior, schema.CityPrior)
    return config.prior.background_ppm * (1.0 - np.array([r.levels.sum() for r in receptors]))


def _setup(
    config: schema.Config, city: City, blocks: list[Block], H, receptors: list[Receptor], draft: Observations
) -> Setup:
    """The case with a truth and observations drawn from the seed."""
    silent = Problem(
        H=lx.MatrixLinearOperator(H),
        x_b=jnp.concatenate([jnp.asarray(b.mean, dtype=float) for b in blocks]),
        B=BlockDiagonal(tuple(b.covariance for b in blocks)),
        y=jnp.zeros(len(draft)),
        R=mismatch.covariance(draft),
        b=jnp.asarray(_above_the_model(config, receptors)),
    )
    family, case = _family(city, config, blocks, receptors, silent), config.case
    assert isinstance(case, schema.CityCase)
    scales = {"wind_speed": case.true_wind, "mixing_height": case.true_mixing}
    nature = silent
    if set(scales.values()) != {1.0}:  # the air that was measured moved otherwise than the inversion believes
        nature = family(tuple(scales), dense=False)(jnp.array(list(scales.values())))
    drawn, made = replicate(nature, jax.random.key(config.seed))
    truth, problem = np.asarray(drawn), dataclasses.replace(silent, y=made.y)
    observations = dataclasses.replace(draft, values=np.asarray(problem.y))
    return Setup(
        name="city_osse",
        title="Generated basin city: CO2 emissions from towers and columns",
        synthetic=True,
        species="CO2",
        problem=problem,
        observations=observations,
        totals=_totals(city, config, blocks, truth),
        map=_map(city, config, blocks, truth),
        blocks=tuple((b.name, b.size, b.unit) for b in blocks),
        structure=dataclasses.replace(
            _structure(city, blocks, receptors, config), problem_of=family, true_scales=scales
        ),
        truth=truth,
        citations=CITATIONS,
        seeds={"truth and noise": config.seed},
        notes=(
            "SYNTHETIC: weather, inventory, truth and observations were generated; no measurement went into it.",
            "The truth is one draw from the prior and the observations carry one draw of the stated errors"
            + (
                ", so the assumptions of the inversion hold exactly; real data are less kind."
                if nature is silent
                else f". The true wind speed is {scales['wind_speed']:g} and the true mixing height "
                f"{scales['mixing_height']:g} times what the inversion is given."
            ),
        ),
    )


# Faster winds than this are not answered: the steps are planned for it.
FASTEST = 1.6


def _family(city: City, config: schema.Config, blocks: list[Block], receptors: list[Receptor], problem: Problem):
    """Names of transport parameters ↦ the family of the city's problems in them."""
    transport, options = city.transport, config.transport
    assert isinstance(options, schema.EulerianTransport)

    def family(names: tuple[str, ...], dense: bool = True) -> TransportParameters:
        met = transport.meteorology
        T = ScaledTransport(
            met, city.grid.areas, BasinMixing(met, city.levels.edges[1:-1], city.basin), FASTEST,
            injection=transport.injection, scheme=scheme_of(options), max_courant=options.max_courant,
            max_seconds=options.max_seconds or LONGEST_STEP,
        )  # fmt: skip
        sampler = Sampler(receptors, city.grid, transport.out_structure().shape, met.interval)
        return TransportParameters(T, sampler, blocks, problem.y, problem.R, names, b=problem.b, dense=dense)

    return family


EMISSIONS = ("area emission", "point sources")
BIOSPHERE = ("respiration", "uptake")


def _structure(city: City, blocks: list[Block], receptors: list[Receptor], config: schema.Config) -> Structure:
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


def _totals(city: City, config: schema.Config, blocks: list[Block], truth: np.ndarray) -> TotalSpec:
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


def _map(city: City, config: schema.Config, blocks: list[Block], truth: np.ndarray) -> MapSpec:
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


def check(config: schema.Config) -> Evidence:
    """Numerical evidence for the city's chain and its transport operator, with the prior's emissions in the budget."""
    assert isinstance(config.task, schema.Check)
    city = build(config)
    observed = schema.expect(config.observations, schema.CityObservations, "observations", "city")
    receptors, draft = _observe(city, observed)
    T, blocks = city.transport, _blocks(city, config, draft.groups)
    prior = ControlMap(blocks, T.in_structure()).mv(jnp.concatenate([jnp.asarray(b.mean, dtype=float) for b in blocks]))
    return transport_evidence(T, prior, adjoint_gap(chain(city, blocks, receptors), config.task.pairs))
