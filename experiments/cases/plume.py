"""SYNTHETIC: a source of the user's own in the weather that a file brings, with any of the readers.

C = T(release, inflow),   release Q(t) over a range of heights, optional decay λ and deposition v_d
"""

import csv
import dataclasses
import datetime
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pyproj
from pyproj.exceptions import CRSError

from experiments import schema
from experiments.cases import Citation, Mark
from experiments.cases.simulation import KILOGRAMS_PER_TONNE, MICROMOLES, Simulation, steady
from experiments.data import MATIMBA
from experiments.schemes import LONGEST_STEP, scheme_of
from experiments.weather import Domain, domain
from priors.point_sources import PointSource, injection_profile
from transport.constants import SECONDS_PER_HOUR, SECONDS_PER_YEAR
from transport.errors import TanhengError
from transport.eulerian import EulerianTransport
from transport.grid import GEOGRAPHIC, Grid
from transport.mixing import Columns, Sinks, radioactive_decay
from transport.sources import Injection

METRES_PER_SECOND = 1e-2  # per cm s-1
_CATALOGUE = "coco2_ps_database/coco2_ps_{}_v1.1.csv"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

CATALOGUE = Citation(
    "Guevara, M. et al. (2023): CoCO2 point source database v1.1 (CC BY 4.0): emissions of power plants in 2018.",
    "10.24380/mxjo-nram",
)


@dataclasses.dataclass(frozen=True, eq=False)
class Release:
    """One place that releases: name, position, and kg s-1 in each interval."""

    name: str
    lon: float
    lat: float
    rate: np.ndarray


def grid_of(case: schema.PlumeCase) -> Grid | None:
    """The projected grid of the configuration; None where the cells are those of the weather.

    Raises:
        TanhengError: the projection is unknown, or its cells do not fill the extent.
    """
    if not case.spacing_km:
        return None
    crs = case.crs or f"+proj=laea +lat_0={case.latitude} +lon_0={case.longitude} +datum=WGS84 +units=m"
    try:
        system = pyproj.CRS.from_user_input(crs)
    except CRSError as error:
        raise TanhengError(
            "case.crs is not a coordinate system", got=crs,
            expected="a projected system, e.g. EPSG:32632 or a PROJ string",
            remedy="leave it empty for an equal-area projection centred on the source",
        ) from error  # fmt: skip
    counts = [(high - low) / case.spacing_km for low, high in (case.extent_km[:2], case.extent_km[2:])]
    whole = all(n > 2.5 and abs(n - round(n)) < 1e-6 for n in counts) and round(counts[0]) * round(counts[1]) <= 10**6
    if system.is_geographic or not whole:
        raise TanhengError(
            "the grid of the plume cannot be made", got=f"{counts[0]:.6g} × {counts[1]:.6g} cells, {system.name}",
            expected="at least 3 × 3 and at most 10⁶ whole cells of a projected system",
            remedy="correct case.spacing_km, case.extent_km or case.crs; spacing_km=0 takes the cells of the weather",
        )  # fmt: skip
    x, y = (
        1e3 * (case.extent_km[i] + case.spacing_km * np.arange(round(n) + 1))
        for i, n in zip((0, 2), counts, strict=True)
    )
    return Grid(x, y, crs)


# --- releases ---------------------------------------------------------------------------------------------------------
def _rows(table: str, key: str) -> dict[str, dict[str, str]]:
    path = MATIMBA.fetch(_CATALOGUE.format(table))
    with path.open(newline="", encoding="utf-8") as stream:
        return {row[key]: row for row in csv.DictReader(stream)}


def catalogue_releases(ids: Sequence[str], times: np.ndarray, utc_offset: float) -> tuple[Release, ...]:
    """CO2 of power plant units: yearly total times the profiles of month, weekday and hour of local time.

    Args:
        ids: of the CoCO2 catalogue, e.g. CoCO2_14657.
        times: (nt+1,) datetime64[s], UTC.
        utc_offset: h.

    Returns:
        one release per place and profile, units at the same place together.

    Raises:
        TanhengError: an unknown unit, or the catalogue is not at hand.
    """
    plants = _rows("catalogue", "ID")
    unknown = [i for i in ids if i not in plants]
    if unknown or len(set(ids)) != len(ids):
        raise TanhengError(
            "case.catalogue_ids cannot be used", got=list(ids),
            expected=f"distinct names among {len(plants)} CoCO2 units",
            remedy="read them from coco2_ps_catalogue_v1.1.csv",
        )  # fmt: skip
    monthly, weekly, hourly = (
        _rows(f"{name}_profiles", f"ID_{key}Fact")
        for name, key in (("monthly", "Month"), ("weekly", "Week"), ("hourly", "Hour"))
    )
    middle = times[:-1] + (times[1:] - times[:-1]) // 2 + np.timedelta64(round(utc_offset * SECONDS_PER_HOUR), "s")
    clock = [datetime.datetime.fromisoformat(str(t.astype("datetime64[s]"))) for t in middle]
    places: dict[tuple[float, float], list[np.ndarray]] = {}
    for name in ids:
        plant = plants[name]
        month, week, hour = (
            monthly[plant["ID_MonthFact"]], weekly[plant["ID_WeekFact"]], hourly[plant["ID_HourFact"]],
        )  # fmt: skip
        factor = np.array([float(month[t.strftime("%b")]) * float(week[_DAYS[t.weekday()]]) * float(hour[f"H{t.hour}"])
                           for t in clock])  # fmt: skip
        rate = float(plant["co2_emis_ty"]) * KILOGRAMS_PER_TONNE / SECONDS_PER_YEAR * factor
        places.setdefault((float(plant["longitude"]), float(plant["latitude"])), []).append(rate)
    return tuple(
        Release(f"{len(rates)} unit{'s' * (len(rates) > 1)} at {lat:.3f}°, {lon:.3f}°", lon, lat, np.sum(rates, axis=0))
        for (lon, lat), rates in places.items()
    )


def _own_release(case: schema.PlumeCase, times: np.ndarray) -> Release:
    """The configured rate, while it lasts: each interval gets the share of it that the release covers."""
    seconds = (times - times[0]).astype(float)
    start = case.start_hour * SECONDS_PER_HOUR
    end = np.inf if case.release_hours is None else start + case.release_hours * SECONDS_PER_HOUR
    covered = np.clip(np.minimum(seconds[1:], end) - np.maximum(seconds[:-1], start), 0.0, None)
    if not covered.any():
        raise TanhengError(
            "the release lies outside the window", got=f"from hour {case.start_hour:g}",
            expected=f"a start before hour {seconds[-1] / SECONDS_PER_HOUR:g}", remedy="set case.start_hour",
        )  # fmt: skip
    return Release("source", case.longitude, case.latitude, case.release_kg_s * covered / np.diff(seconds))


def source_of(release: Release, case: schema.PlumeCase) -> PointSource:
    """The release with the heights and shares of the case."""
    ranges, shares = tuple(map(float, case.height_m)), tuple(map(float, case.shares))
    return PointSource(release.name, release.lon, release.lat, "release", ranges[0], heights=ranges, shares=shares)


def _injection(case: schema.PlumeCase, air: Domain, releases: Sequence[Release]) -> Injection:
    to_grid = pyproj.Transformer.from_crs(GEOGRAPHIC, air.grid.crs, always_xy=True)
    cells, profiles = [], []
    heights = np.asarray(air.prepared.columns.height_edges, dtype=float).mean(axis=0)
    for release in releases:
        x, y = to_grid.transform(release.lon, release.lat)
        row, column = air.grid.cell_of(x, y, f"the {release.name}")
        cells.append((row, column))
        profiles.append(injection_profile(heights[:, row, column], source_of(release, case)))
    place = np.array(cells)
    return Injection(place[:, 0], place[:, 1], np.array(profiles))


# --- the case ---------------------------------------------------------------------------------------------------------
def assemble(config: schema.Config) -> Simulation:
    """The forward run of a plume.

    Raises:
        TanhengError: an option that the case cannot use, a source outside the grid, missing or refused files.
    """
    case = schema.expect(config.case, schema.PlumeCase, "case", "plume")
    met = schema.expect(config.meteorology, schema.FileMeteorology, "meteorology", "plume")
    transport = schema.expect(config.transport, schema.EulerianTransport, "transport", "plume")
    schema.expect(config.observations, schema.NoObservations, "observations", "plume")
    schema.expect(config.prior, schema.NoPrior, "prior", "plume")
    if bool(case.catalogue_ids) == bool(case.release_kg_s):
        raise TanhengError(
            "the release is not stated once",
            got=f"case.release_kg_s={case.release_kg_s:g}, {len(case.catalogue_ids)} case.catalogue_ids",
            expected="either a rate > 0 kg/s or units of the CoCO2 catalogue",
            remedy="set one, leave the other at its default",
        )
    air = domain(met, transport, grid_of(case))
    parts = transport.split
    meteorology = air.split(parts)
    nt = meteorology.shape[0]
    seconds = np.round(np.arange(nt + 1) * meteorology.interval).astype("timedelta64[s]")
    times = air.times[0].astype("datetime64[s]") + seconds
    if case.catalogue_ids:
        releases = catalogue_releases(case.catalogue_ids, times, case.utc_offset)
    else:
        releases = (_own_release(case, times),)
    mass = case.molar_mass_g_mol / KILOGRAMS_PER_TONNE  # kg mol-1
    T = EulerianTransport(
        meteorology, air.grid.areas, _injection(case, air, releases), scheme_of(transport), _sinks(case),
        _columns(air.prepared.columns, parts), transport.max_courant, transport.max_seconds or LONGEST_STEP,
    )  # fmt: skip
    points = np.stack([r.rate for r in releases], axis=1) / mass * MICROMOLES
    ppm = 1e-3 * case.inflow_ppb
    source = "of the CoCO2 catalogue" if case.catalogue_ids else "chosen by hand"
    return Simulation(
        name="plume",
        title=case.title,
        synthetic=f"the release is {source}; only the weather is real",
        species=case.species,
        molar_mass=mass,
        unit="ppm" if case.species == "CO2" else "ppb",
        domain=air,
        transport=T,
        sources=steady(T, np.zeros(air.grid.shape), ppm, points),
        emissions=tuple((r.name, float(r.rate.mean() * SECONDS_PER_HOUR / KILOGRAMS_PER_TONNE)) for r in releases),
        inflow=ppm,
        marks=tuple(Mark(r.lon, r.lat, r.name, "point source") for r in releases),
        utc_offset=case.utc_offset,
        citations=(CATALOGUE,) if case.catalogue_ids else (),
        inputs=air.inputs | (_catalogue_hashes() if case.catalogue_ids else {}),
        notes=_notes(case, source),
    )


def _sinks(case: schema.PlumeCase) -> Sinks | None:
    rate = None if case.half_life_h is None else radioactive_decay(case.half_life_h * SECONDS_PER_HOUR)
    velocity = None if not case.deposition_cm_s else case.deposition_cm_s * METRES_PER_SECOND
    return None if rate is None and velocity is None else Sinks(rate, velocity)


def _columns(columns: Columns, parts: int) -> Columns:
    """The columns of a split meteorology."""
    if parts == 1:
        return columns
    heights, air = jax.tree.map(lambda field: jnp.repeat(field, parts, axis=0), (columns.height_edges, columns.air))
    return Columns(heights, air, columns.areas)


def _catalogue_hashes() -> dict[str, str]:
    names = (_CATALOGUE.format(n) for n in ("catalogue", "monthly_profiles", "weekly_profiles", "hourly_profiles"))
    return {f"{MATIMBA.name}/{name}": MATIMBA.hash_of(name) for name in names}


def _notes(case: schema.PlumeCase, source: str) -> tuple[str, ...]:
    shares = f" with shares {list(case.shares)}" if case.shares else ""
    notes = [
        f"The release rate is {source}. It enters between {case.height_m[0]:g} and {case.height_m[-1]:g} m above the "
        f"model's ground, {'in layers ' + str(list(case.height_m)) if shares else 'evenly'}{shares}; no plume rise is "
        "computed.",
        f"The air at the start and at the sides holds {case.inflow_ppb:g} ppb.",
    ]
    if case.catalogue_ids:
        notes.append(
            "The catalogue's totals are those of 2018; its table of vertical profiles is not in the data set, so the "
            "heights are chosen by hand."
        )
    losses = []
    if case.half_life_h is not None:
        losses.append(f"half-life {case.half_life_h:g} h")
    if case.deposition_cm_s:
        losses.append(f"deposition velocity {case.deposition_cm_s:g} cm/s")
    notes.append(f"Losses: {', '.join(losses) or 'none, the tracer is passive'}.")
    return tuple(notes)
