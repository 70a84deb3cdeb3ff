"""CO2 emission of Berlin from one overpass of a SYNTHETIC CO2M, 23 April 2015 (SMARTCARB: COSMO-GHG at 1 km).

    y = Σ_k E_k T_k / E_k° + Σ_j s_j X_j + X_background + c + g·(x, y) + ε

T_k is the simulated column of what Berlin emitted in the k-th three hours of the day, E_k° the emission that was put
into that simulation, so that T_k / E_k° is the response to one Mt/yr. X_j are the columns of other sources and of the
biosphere, each with an unknown factor s_j. The satellite's pixels are made by SMARTCARB; the responses are averaged
over the pixels here, from the model's own cells.
"""

import dataclasses

import jax.numpy as jnp
import lineax as lx
import numpy as np
import pyproj

from experiments import schema
from experiments.cases import Citation, MapSpec, Mark, Setup, TotalSpec
from experiments.data import SMARTCARB
from experiments.progress import stage
from inversion.budget import Measurand, mask_sha256
from inversion.covariance import BlockDiagonal, Dense, Diagonal
from inversion.observations import Observations, mismatch
from inversion.observations.readers.files import NetCDF, lines_of
from inversion.observations.readers.smartcarb import read_co2m
from inversion.problem import Problem
from transport.constants import SECONDS_PER_YEAR
from transport.grid import GEOGRAPHIC, Grid
from transport.sampling import Sampler, pixel_points
from transport.units import molar_mass

TRACERS = "cosmo_2d_2015042311_xco2_subset.nc"
SWATH = "Sentinel_7_CO2_2015042311_subset.nc"
EMISSIONS = "SMARTCARB-CO2-emissions.csv"
SOURCES = "sources-smartcarb.csv"
DATE = np.datetime64("2015-04-23")
HOURS = 3
WINDOWS = 24 // HOURS
# The overpass is at 11:14 UTC: the tracer of 9–12 UTC holds what was emitted until then.
OVERPASS = 11.2  # h
OTHERS = {"other sources": ("XCO2_A", 1.0), "Jänschwalde": ("XCO2_JV", 1.0), "respiration": ("XCO2_RA", 1.0),
          "photosynthesis": ("XCO2_GPP", -1.0)}  # fmt: skip
BACKGROUND = ("offset", "gradient east", "gradient north")
# Points per side of a pixel of 2 km over cells of 1.1 km.
POINTS = 4
CELL = 2e3  # m, of the map
UTM = "EPSG:25833"

CITATIONS = (
    Citation(
        "Kuhlmann, G. et al. (2019): Detectability of CO2 emission plumes of cities and power plants with the "
        "Copernicus Anthropogenic CO2 Monitoring (CO2M) mission. Atmos. Meas. Tech. 12, 6695–6719.",
        "10.5194/amt-12-6695-2019",
    ),
    Citation(
        "Brunner, D. et al. (2019): Accounting for the vertical distribution of emissions in atmospheric CO2 "
        "simulations. Atmos. Chem. Phys. 19, 4541–4559.",
        "10.5194/acp-19-4541-2019",
    ),
    Citation("Data: package ddeq 1.1 (Empa), files of the ESA project SMARTCARB. A simulation, not a measurement."),
)


@dataclasses.dataclass(frozen=True)
class City:
    """What the simulation was given.

    Args:
        lon, lat: centre.
        diameter: m.
        annual: Mt/yr.
        truth: (8,) mean emission of each window on its most recent day before the overpass, Mt/yr.
    """

    lon: float
    lat: float
    diameter: float
    annual: float
    truth: np.ndarray


def _city() -> City:
    table = [line.split(",") for line in lines_of(SMARTCARB.fetch(SOURCES)) if not line.startswith("#")]
    row = next(dict(zip(table[0], r, strict=True)) for r in table[1:] if r[0] == "Berlin")
    lines = [line.split("\t") for line in lines_of(SMARTCARB.fetch(EMISSIONS))]
    column = lines[0].index("Berlin (Mt/yr)")
    hourly = {np.datetime64(r[0].replace(" ", "T"), "h"): float(r[column]) for r in lines[1:]}
    truth = []
    for k in range(WINDOWS):
        day = DATE if HOURS * k < OVERPASS else DATE - np.timedelta64(1, "D")
        hours = np.arange(HOURS * k, HOURS * (k + 1))
        share = np.clip(OVERPASS - hours, 0.0, 1.0) if day == DATE else np.ones(HOURS)
        values = [hourly[day.astype("datetime64[h]") + np.timedelta64(int(h), "h")] for h in hours]
        truth.append(float(np.average(values, weights=share)))
    return City(
        float(row["longitude"]), float(row["latitude"]), float(row["diameter"]),
        float(row["annual_co2_emissions_in_MtCO2"]), np.array(truth),
    )  # fmt: skip


def _observed(config: schema.Co2mObservations, city: City, seed: int) -> Observations:
    """Soundings near the city that are clear and have a stated noise, with that noise drawn."""
    swath = read_co2m(SMARTCARB.fetch(SWATH))
    (x0, y0), (x, y) = _project(city.lon, city.lat), _project(swath.lon, swath.lat)
    swath = swath.drop("near Berlin", {
        f"farther than {config.radius_km:g} km": np.hypot(x - x0, y - y0) > 1e3 * config.radius_km,
        f"cloud cover above {config.cloud_maximum:g}": ~(swath.extra["CLCT"] <= config.cloud_maximum),
        "without a stated noise": ~np.isfinite(swath.sigma),
    })  # fmt: skip
    (noise,) = swath.components
    noise = noise.scaled(config.noise_scale)
    drawn = noise.sigma * np.random.default_rng(seed).standard_normal(len(swath))
    noisy = swath.replace(values=swath.values + drawn, components=(noise,))
    return mismatch.apply(noisy, [r.rule() for r in config.mismatch])


def _project(lon, lat):
    return pyproj.Transformer.from_crs(GEOGRAPHIC, UTM, always_xy=True).transform(lon, lat)


def responses(observations: Observations) -> np.ndarray:
    """(m, 8) ppm of each window's tracer, averaged over the pixels.

    Raises:
        TanhengError: a file without the tracers, or pixels outside it.
    """
    with NetCDF(SMARTCARB.fetch(TRACERS)) as file:
        mapping = {k: v if isinstance(v, str) else float(v) for k, v in file.attributes("rotated_pole").items()}
        crs = pyproj.CRS.from_cf(mapping)
        rlon, rlat = file.numbers("rlon", ("rlon",)), file.numbers("rlat", ("rlat",))
        grid = Grid.from_centres(rlon, rlat, crs.to_wkt())
        names = [f"XCO2_T{k:02d}" for k in range(WINDOWS)]
        fields = [file.numbers(name, ("time", "rlat", "rlon"), {"ppm": 1.0}) for name in names]
    assert observations.corners is not None
    turn = pyproj.Transformer.from_crs(GEOGRAPHIC, crs, always_xy=True)
    corners = turn.transform(observations.corners[..., 0], observations.corners[..., 1])
    x, y = pixel_points(*corners, POINTS)
    m = len(observations)
    ones = np.ones((m, 1))
    sampler = Sampler.of_arrays(x, y, np.zeros(m), np.ones(m), ones, grid, (1, 1, *grid.shape), 1.0)
    return np.stack([np.asarray(sampler.mv(jnp.asarray(f)[:, None])) for f in fields], axis=1)


def assemble(config: schema.Config) -> Setup:
    """The problem of one overpass.

    Raises:
        TanhengError: an option that the case cannot use, missing or altered files, no sounding left.
    """
    case = "berlin"
    schema.expect(config.meteorology, schema.NoMeteorology, "meteorology", case)
    schema.expect(config.transport, schema.TaggedTracers, "transport", case)
    schema.expect(config.covariance, schema.NoCovariance, "covariance", case)
    control = schema.expect(config.control, schema.BerlinControl, "control", case)
    prior = schema.expect(config.prior, schema.BerlinPrior, "prior", case)
    observed = schema.expect(config.observations, schema.Co2mObservations, "observations", case)
    city = _city()
    with stage("synthetic soundings and tracers"):
        o = _observed(observed, city, config.seed)
        T = responses(o)
    (x0, y0), (x, y) = _project(city.lon, city.lat), _project(o.lon, o.lat)
    others = np.stack([sign * o.extra[name] for name, sign in OTHERS.values()], axis=1)
    away = np.stack([np.ones(len(o)), (x - x0) / 1e5, (y - y0) / 1e5], axis=1)
    H = np.concatenate([T / city.truth, others, away], axis=1)
    mean = prior.mt_per_year or city.annual
    hours = HOURS * np.arange(WINDOWS)
    apart = np.abs(hours[:, None] - hours)
    # Windows follow the clock: 21–24 h of the day before lies next to 0–3 h.
    memory = np.exp(-np.minimum(apart, 24 - apart) / control.correlation_h)
    B = BlockDiagonal((
        Dense((prior.relative * mean) ** 2 * memory), Diagonal(np.full(len(OTHERS), control.sigma_others)),
        Diagonal(np.array([control.sigma_offset_ppm, *2 * [control.sigma_gradient_ppm]])),
    ))  # fmt: skip
    x_b = np.r_[np.full(WINDOWS, mean), np.ones(len(OTHERS)), np.zeros(3)]
    problem = Problem(
        H=lx.MatrixLinearOperator(jnp.asarray(H)), x_b=jnp.asarray(x_b), B=B, y=jnp.asarray(o.values),
        R=mismatch.covariance(o), b=jnp.asarray(o.extra["XCO2_BG"]),
    )  # fmt: skip
    truth = np.r_[city.truth, np.ones(len(OTHERS)), np.zeros(3)]
    files = (SWATH, TRACERS, EMISSIONS, SOURCES)
    return Setup(
        name=case,
        title="CO2 emission of Berlin, one overpass of a synthetic CO2M, 23 April 2015",
        synthetic=True,
        species="CO2",
        problem=problem,
        observations=o,
        totals=_totals(truth, mask_sha256(*_disc(city))),
        map=_map(city),
        blocks=(
            (f"emission, {WINDOWS} windows of {HOURS} h", WINDOWS, "Mt CO2 yr-1"),
            ("factors: " + ", ".join(OTHERS), len(OTHERS), "1"),
            ("background offset", 1, "ppm"),
            ("background gradient east, north", 2, "ppm/100 km"),
        ),
        truth=truth,
        citations=CITATIONS,
        inputs={f"{SMARTCARB.name}/{f}": SMARTCARB.hash_of(f) for f in files},
        seeds={"noise": config.seed},
        notes=(
            "SYNTHETIC: columns of a simulation with drawn noise. The same simulation's tracers are the operator, so "
            "errors of transport and of the pattern of the emission are left out: the uncertainties are a lower bound.",
            f"The noise is the instrument's stated one times {observed.noise_scale:g} "
            "(SMARTCARB: 0.5 for 0.7 ppm over vegetation at 50° solar zenith angle).",
            "Windows from 12 h on are of the day before; the air that took them up has left the surroundings of the "
            "city, and the overpass says nothing about them. The window of 9–12 h ends with the overpass at 11:14 UTC.",
            "A tracer holds the same hours of all days; what days before left within reach is not told apart.",
        ),
    )


def _totals(truth: np.ndarray, area: str) -> TotalSpec:
    """Each window, and the mean of what the overpass can see."""
    days = [23 if HOURS * k < OVERPASS else 22 for k in range(WINDOWS)]
    names = [f"Berlin, {d} April {HOURS * k:02d}–{HOURS * (k + 1):02d} UTC" for k, d in enumerate(days)]
    weights = np.eye(truth.size)[:WINDOWS]
    seen = np.zeros(truth.size)
    lengths = np.array([HOURS, OVERPASS - 3 * HOURS])
    seen[2:4] = lengths / lengths.sum()
    order = [3, 2, 1, 0, 7, 6, 5, 4]
    weights = np.concatenate([seen[None], weights[order]])
    regions = ("Berlin, 23 April 06–11 UTC", *(names[k] for k in order))
    last = DATE + np.timedelta64(round(3600 * OVERPASS), "s")
    spans = [(DATE + np.timedelta64(2 * HOURS, "h"), last)]
    for k in order:
        start = np.datetime64(f"2015-04-{days[k]}", "h") + HOURS * k
        spans.append((start, last if start < last < start + HOURS else start + HOURS))
    measurands = tuple(Measurand("CO2", "Berlin", area, *span) for span in spans)
    return TotalSpec(
        regions, "2015-04-22T12:00Z/2015-04-23T11:14Z", weights, "Mt CO2 yr-1", weights @ truth, measurands
    )


def _disc(city: City) -> tuple[Grid, np.ndarray]:
    """The disc in which the simulation's sources lie, and the grid of the map around it."""
    x0, y0 = (CELL * np.round(v / CELL) for v in _project(city.lon, city.lat))
    edges = CELL * np.arange(-14, 15)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return Grid(x0 + edges, y0 + edges, UTM), np.hypot(centres[:, None], centres) <= 0.5 * city.diameter


def _map(city: City) -> MapSpec:
    """The disc as one element: the emission of the last window."""
    grid, inside = _disc(city)
    area = inside.sum() * CELL**2
    per_megatonne = 1e9 / molar_mass("CO2") * 1e6 / SECONDS_PER_YEAR / area  # µmol m-2 s-1 per Mt/yr
    weights = np.zeros((1, WINDOWS + len(OTHERS) + len(BACKGROUND)))
    weights[0, 3] = per_megatonne
    return MapSpec(
        title="CO2 emission of Berlin, 9 to 11 UTC, spread over the city", unit="µmol m-2 s-1", crs=UTM,
        x_edges=grid.x_edges, y_edges=grid.y_edges, layout=np.where(inside, 0, -1), weights=weights,
        truth=weights @ np.r_[city.truth, np.ones(len(OTHERS)), np.zeros(3)],
        marks=(Mark(city.lon, city.lat, "Berlin", "point source"),),
    )  # fmt: skip
