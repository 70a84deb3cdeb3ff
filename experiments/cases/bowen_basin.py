"""CH4 of the Bowen Basin coal field, Queensland (Open Methane test domain): WRF, a 12-sector prior, TROPOMI soundings.

    C = T(prior, inflow)        XCH4 = c + Σ_i h_i a_i (C_i − c)

on the cells of the WRF run. c is the mole fraction of the air that flows in; it stands for the a-priori profile, which
the data set does not hold, and for the air above the model's top.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np
import pyproj
import xarray as xr

from experiments import schema
from experiments.cases import Citation
from experiments.cases.simulation import (
    KILOGRAMS_PER_TONNE,
    MICROMOLES,
    OtherModel,
    Simulation,
    Soundings,
    steady,
)
from experiments.data import BOWEN_BASIN
from experiments.schemes import LONGEST_STEP, scheme_of
from experiments.weather import Domain, domain
from transport.constants import SECONDS_PER_HOUR
from transport.errors import TanhengError
from transport.eulerian import EulerianTransport
from transport.grid import GEOGRAPHIC, Grid
from transport.sampling import Receptor, column_weights, pressure_weights
from transport.units import molar_mass, require_unit

PPB = 1e3  # ppb per ppm
PRODUCT_LAYERS = 12
# A sounding is an instant; the sample needs a window of some length.
HALF_WINDOW = 300.0  # s
PLACE_TOLERANCE = 0.01  # of a cell

CITATIONS = (
    Citation(
        "Data: Open Methane, github.com/openmethane/openmethane (Apache-2.0); WRF 4.5.1, prior v1.0.1a0. Contains "
        "modified Copernicus Sentinel-5P data."
    ),
    Citation(
        "Skamarock, W. C. et al. (2019): A description of the Advanced Research WRF Model version 4. NCAR/TN-556+STR.",
        "10.5065/1dfh-6p97",
    ),
    Citation(
        "Lorente, A. et al. (2021): Methane retrieved from TROPOMI: improvement of the data product and validation of "
        "the first 2 years of measurements. Atmos. Meas. Tech. 14, 665–684.",
        "10.5194/amt-14-665-2021",
    ),
    Citation(
        "Colella, P., Woodward, P. R. (1984): The piecewise parabolic method (PPM) for gas-dynamical simulations. "
        "J. Comput. Phys. 54, 174–201.",
        "10.1016/0021-9991(84)90143-8",
    ),
)


def _files(date: str) -> dict[str, str]:
    folder = f"case_{date}"
    files = {
        "weather": f"{folder}/wrf_{date.replace('-', '')}_d01_25h.nc",
        "prior": f"{folder}/prior/prior-emissions.nc",
        "soundings": f"{folder}/obs/test_obs_{date}.nc",
        "cmaq": f"{folder}/templates/conc_template.nc",
    }
    return {name: path for name, path in files.items() if path in BOWEN_BASIN.files}


def _open(path: str, names: tuple[str, ...], **options) -> xr.Dataset:
    """A file of the data set with the variables that are needed."""
    try:
        with xr.open_dataset(BOWEN_BASIN.fetch(path), engine="h5netcdf", **options) as data:
            missing = [name for name in names if name not in data.variables]
            loaded = None if missing else data.load()
    except (OSError, ValueError, KeyError) as error:
        raise TanhengError(
            "a file of the case cannot be read", got=f"{path}: {error}", expected="NetCDF-4",
            remedy="restore the file",
        ) from error  # fmt: skip
    if loaded is None:
        raise TanhengError(
            f"{path} lacks a variable", got=f"without {', '.join(missing)}", expected=", ".join(names),
            remedy="use the file that the case names",
        )  # fmt: skip
    return loaded


# --- prior ------------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, eq=False)
class Inventory:
    """Emission of each sector on the cells of a grid.

    Args:
        sectors: names.
        mass: (sectors, ny, nx) kg s-1 per cell.
        rows, columns: cells of the grid that the inventory covers.
    """

    sectors: tuple[str, ...]
    mass: np.ndarray
    rows: slice
    columns: slice

    def flux(self, grid: Grid) -> np.ndarray:
        """(ny, nx) µmol m-2 s-1 of the sum of all sectors on the grid's true cell areas."""
        return self.mass.sum(axis=0) / molar_mass("CH4") * MICROMOLES / grid.areas

    def tonnes_per_hour(self) -> tuple[tuple[str, float], ...]:
        """(sector, t/h), largest first."""
        rates = self.mass.sum(axis=(1, 2)) * SECONDS_PER_HOUR / KILOGRAMS_PER_TONNE
        return tuple((self.sectors[i], float(rates[i])) for i in np.argsort(-rates))


def window_of(lon: np.ndarray, lat: np.ndarray, grid: Grid, what: str) -> tuple[slice, slice]:
    """Rows and columns of the grid whose centres are the given points.

    Raises:
        TanhengError: the points are not centres of neighbouring cells, to 1 % of a cell.
    """
    x, y = pyproj.Transformer.from_crs(GEOGRAPHIC, grid.crs, always_xy=True).transform(lon, lat)
    steps = np.diff(grid.x_edges).mean(), np.diff(grid.y_edges).mean()
    column, row = (x - grid.x[0]) / steps[0], (y - grid.y[0]) / steps[1]
    left, low = int(np.round(column[0, 0])), int(np.round(row[0, 0]))
    off = max(
        np.abs(column - (left + np.arange(lon.shape[1]))).max(),
        np.abs(row - (low + np.arange(lon.shape[0])[:, None])).max(),
    )
    ny, nx = grid.shape
    inside = min(left, low) >= 0 and left + lon.shape[1] <= nx and low + lon.shape[0] <= ny
    if not off <= PLACE_TOLERANCE or not inside:
        raise TanhengError(
            f"the cells of {what} are not cells of the weather's grid",
            got=f"{off:.3g} cells apart; rows {low}…{low + lon.shape[0] - 1}, columns {left}…{left + lon.shape[1] - 1}",
            expected=f"at most {PLACE_TOLERANCE} cells apart, within {ny} × {nx} cells",
            remedy="leave meteorology.rim and meteorology.files as the experiment sets them",
        )
    return slice(low, low + lon.shape[0]), slice(left, left + lon.shape[1])


def read_inventory(path: str, grid: Grid) -> Inventory:
    """The sectors of the prior, cell by cell.

    The file gives mass per area of its nominal cells, XCELL · YCELL, which is what its makers multiply with when they
    feed CMAQ; so the mass of a cell is flux · nominal area, and that mass is placed whole into our cell.

    Raises:
        TanhengError: other cells, another unit, missing values.
    """
    data = _open(path, ("lat", "lon", "ch4_total"), decode_times=False)
    names = sorted(str(n) for n in data.data_vars if str(n).startswith("ch4_sector_"))
    rows, columns = window_of(data.lon.values, data.lat.values, grid, "the prior")
    area = float(data.attrs["XCELL"]) * float(data.attrs["YCELL"])
    mass = np.zeros((len(names), *grid.shape))
    for i, name in enumerate((*names, "ch4_total")):
        require_unit(f"{name} of the prior", data[name].attrs.get("units"), "kg/m2/s")
        values = data[name].values.reshape(data.lat.shape)
        if not np.isfinite(values).all():
            raise TanhengError(
                f"{name} of the prior has missing values", got=f"{np.count_nonzero(~np.isfinite(values))} cells",
                expected="none", remedy="restore the file",
            )  # fmt: skip
        if i < len(names):
            mass[i, rows, columns] = values * area
    total, stated = mass.sum(), float(data.ch4_total.values.sum()) * area
    if not abs(total - stated) <= 1e-6 * abs(stated):
        raise TanhengError(
            "the sectors of the prior do not add up to its total", got=f"{total:.6g} kg/s",
            expected=f"{stated:.6g} kg/s", remedy="restore the file",
        )  # fmt: skip
    return Inventory(tuple(n.removeprefix("ch4_sector_") for n in names), mass, rows, columns)


# --- soundings --------------------------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, eq=False)
class _Swath:
    """Soundings that can be used, in their file's order."""

    lon: np.ndarray
    lat: np.ndarray
    x: np.ndarray
    y: np.ndarray
    times: np.ndarray
    values: np.ndarray
    kernel: np.ndarray  # (m, 12) from the ground up
    dropped: dict[str, int]


def read_soundings(path: str, air: Domain, qa_minimum: float) -> _Swath:
    """XCH4 of the day within the grid and the window.

    Raises:
        TanhengError: a variable is missing, the kernel has another shape, or no sounding is left.
    """
    data = _open(path, ("xch4", "time", "qa_value", "latitude", "longitude", "column_averaging_kernel"))
    require_unit("xch4 of the soundings", data.xch4.attrs.get("units"), "1e-9")
    lon, lat = data.longitude.values, data.latitude.values
    x, y = pyproj.Transformer.from_crs(GEOGRAPHIC, air.grid.crs, always_xy=True).transform(lon, lat)
    times = data.time.values.astype("datetime64[s]")
    edges_x, edges_y = air.grid.x_edges, air.grid.y_edges
    half = np.timedelta64(int(HALF_WINDOW), "s")
    # The kernel is stored from the top of the atmosphere down; ours start at the ground.
    kernel = data.column_averaging_kernel.values[:, ::-1]
    reasons = {
        "outside the grid": (x < edges_x[0]) | (x > edges_x[-1]) | (y < edges_y[0]) | (y > edges_y[-1]),
        "outside the window": (times - half < air.times[0]) | (times + half > air.times[-1]),
        f"quality below {qa_minimum:g}": ~(data.qa_value.values >= qa_minimum),
        "without a value or kernel": ~np.isfinite(data.xch4.values) | ~np.isfinite(kernel).all(axis=1),
    }
    keep, dropped = np.ones(lon.size, bool), {}
    for reason, bad in reasons.items():
        dropped[reason] = int(np.count_nonzero(keep & bad))
        keep &= ~bad
    if kernel.shape[1] != PRODUCT_LAYERS or not keep.any():
        raise TanhengError(
            "no sounding can be used", got=f"{lon.size} soundings, dropped {dropped}, {kernel.shape[1]} kernel layers",
            expected=f"at least one within grid and window, {PRODUCT_LAYERS} layers",
            remedy="lower observations.qa_minimum, widen the window, or choose observations=none",
        )  # fmt: skip
    return _Swath(lon[keep], lat[keep], x[keep], y[keep], times[keep], data.xch4.values[keep], kernel[keep], dropped)


def _receptors(swath: _Swath, air: Domain) -> tuple[Receptor, ...]:
    """Samples at the centres of the soundings, with the model's own pressure there."""
    pressure = air.prepared.pressure_edges
    seconds = (swath.times - air.times[0].astype("datetime64[s]")).astype(float)
    length = float((air.times[1] - air.times[0]) / np.timedelta64(1, "s"))
    receptors = []
    for i in range(len(seconds)):
        row, column = air.grid.cell_of(float(swath.x[i]), float(swath.y[i]), "a sounding")
        t = min(int(seconds[i] // length), len(pressure) - 1)
        model = pressure[t, :, row, column].astype(float)
        # The layers of the product have equal thickness in pressure.
        product = np.linspace(model[0], 0.0, PRODUCT_LAYERS + 1)
        weights = column_weights(model, product, pressure_weights(product), swath.kernel[i])
        window = (seconds[i] - HALF_WINDOW, seconds[i] + HALF_WINDOW)
        receptors.append(Receptor(float(swath.x[i]), float(swath.y[i]), *window, weights))
    return tuple(receptors)


def _soundings(swath: _Swath, air: Domain, inflow_ppb: float) -> Soundings:
    receptors = _receptors(swath, air)
    return Soundings(
        instrument="TROPOMI",
        lon=swath.lon,
        lat=swath.lat,
        times=swath.times,
        values=swath.values,
        receptors=receptors,
        offset=inflow_ppb * (1.0 - np.array([r.levels.sum() for r in receptors])),
        assumption=f"The a-priori profile of the soundings is not in the data set; it is taken as {inflow_ppb:.1f} ppb "
        "at all heights, as is the air above the model's top, so that XCH4 = c + Σ h a (C − c). A sounding is sampled "
        "at its centre, bilinearly, on 12 layers of equal pressure thickness above the model's ground.",
        dropped=swath.dropped,
    )


# --- CMAQ -------------------------------------------------------------------------------------------------------------
def cmaq_columns(path: str, air: np.ndarray, rows: slice, columns: slice) -> OtherModel:
    """Column means of the regression template of CMAQ, weighted with our dry air of the same 32 layers.

    Args:
        path: in the data set.
        air: (nt, nz, ny, nx) dry air of the run's hours, mol.
        rows, columns: cells of our grid that the template covers.

    Raises:
        TanhengError: another number of hours, layers or cells than the run's.
    """
    data = _open(path, ("CH4",), decode_times=False)
    require_unit("CH4 of the CMAQ template", data.CH4.attrs.get("units"), "ppmV")
    states = data.CH4.values.astype(float)
    here = air[:, :, rows, columns]
    if states.shape != (here.shape[0] + 1, *here.shape[1:]):
        raise TanhengError(
            "the CMAQ template has another shape than the run", got=states.shape,
            expected=(here.shape[0] + 1, *here.shape[1:]), remedy="run the whole day with all layers",
        )  # fmt: skip
    means = 0.5 * (states[1:] + states[:-1])
    return OtherModel(
        name="CMAQ (Open Methane regression template)",
        column=PPB * np.sum(means * here, axis=1) / np.sum(here, axis=1),
        rows=rows,
        columns=columns,
        caveat="A comparison of patterns, not a validation: the file is a regression template of the Open Methane "
        "tests, with initial and boundary air of its own.",
    )


# --- the case ---------------------------------------------------------------------------------------------------------
def assemble(config: schema.Config) -> Simulation:
    """The forward run of the configured day.

    Raises:
        TanhengError: an option that the case cannot use, a prior that is not credible, missing or altered files.
    """
    case = schema.expect(config.case, schema.BowenBasinCase, "case", "bowen_basin")
    met = schema.expect(config.meteorology, schema.WrfMeteorology, "meteorology", "bowen_basin")
    transport = schema.expect(config.transport, schema.EulerianTransport, "transport", "bowen_basin")
    prior = schema.expect(config.prior, schema.BowenPrior, "prior", "bowen_basin")
    if not isinstance(config.observations, schema.NoObservations):
        schema.expect(config.observations, schema.BowenSoundings, "observations", "bowen_basin")
    date = case.date.value
    files = _files(date)
    _require_credible(date, prior)
    own = not met.files
    air = domain(
        dataclasses.replace(met, files=[f"{BOWEN_BASIN.name}/{files['weather']}"] if own else met.files), transport
    )
    inventory = read_inventory(files["prior"], air.grid)
    swath = None
    if isinstance(config.observations, schema.BowenSoundings):
        swath = read_soundings(files["soundings"], air, config.observations.qa_minimum)
    inflow, why = _inflow(prior, swath)
    meteorology = air.split(transport.split)
    T = EulerianTransport(
        meteorology,
        air.grid.areas,
        scheme=scheme_of(transport),
        max_courant=transport.max_courant,
        max_seconds=transport.max_seconds or LONGEST_STEP,
    )
    # The other model's file holds the whole day of the case's own weather, on all layers.
    whole = own and transport.split == 1 and met.layers is None and air.prepared.meteorology.shape[0] == 24
    other = _other(files, inventory) if whole and "cmaq" in files else None
    used = [files["prior"], *([files["soundings"]] if swath else []), *([files["cmaq"]] if other else [])]
    return Simulation(
        name="bowen_basin",
        title=f"CH4 of the Bowen Basin coal field, {date}",
        synthetic="",
        species="CH4",
        molar_mass=molar_mass("CH4"),
        unit="ppb",
        domain=air,
        transport=T,
        sources=steady(T, inventory.flux(air.grid), inflow / PPB),
        emissions=inventory.tonnes_per_hour(),
        inflow=inflow / PPB,
        utc_offset=case.utc_offset,
        focus=None if swath is None else np.sort(swath.times)[len(swath.times) // 2],
        soundings=None if swath is None else _soundings(swath, air, inflow),
        other=other,
        citations=CITATIONS,
        inputs=air.inputs | {f"{BOWEN_BASIN.name}/{path}": BOWEN_BASIN.hash_of(path) for path in used},
        notes=(why, *_notes(date)),
    )


def _require_credible(date: str, prior: schema.BowenPrior) -> None:
    if date == schema.BowenDate.july.value and not prior.allow_not_credible:
        raise TanhengError(
            "the prior of this day is not credible",
            got=f"case.date={date}: 144.8 t/h in 25 cells, national totals of waste and land use put into them",
            expected="case.date=2022-12-07: 23.7 t/h in 100 cells",
            remedy="take the December day, or set prior.allow_not_credible=true to test the machinery",
        )


def _inflow(prior: schema.BowenPrior, swath: _Swath | None) -> tuple[float, str]:
    """Mole fraction of the air that flows in, ppb, and where it comes from."""
    if prior.inflow_ppb is not None:
        return (
            prior.inflow_ppb,
            f"The air at the start and at the sides holds {prior.inflow_ppb:.1f} ppb (prior.inflow_ppb).",
        )
    if swath is None:
        raise TanhengError(
            "the mole fraction of the inflow is not known", got="prior.inflow_ppb=null and observations=none",
            expected="a number in ppb, or soundings to take the median of", remedy="e.g. prior.inflow_ppb=1865",
        )  # fmt: skip
    value = float(np.median(swath.values))
    return value, (
        f"The air at the start and at the sides holds {value:.1f} ppb, the median of the soundings: the modelled mean "
        "is fitted so, only the pattern of the enhancement is predicted."
    )


def _other(files: dict[str, str], inventory: Inventory) -> Callable[[np.ndarray], OtherModel]:
    return partial(cmaq_columns, files["cmaq"], rows=inventory.rows, columns=inventory.columns)


def _notes(date: str) -> tuple[str, ...]:
    notes = (
        "Emissions are constant over the day and enter the lowest layer. The prior gives mass per nominal cell of "
        "10 km × 10 km; that mass is kept, and spread over the true area of the cell.",
        "The run starts from uniform air: the first hours are spin-up.",
    )
    if date == schema.BowenDate.july.value:
        return (*notes, "NOT CREDIBLE: the prior of this day holds national totals in 25 cells; only the machinery is "
                "tested.")  # fmt: skip
    return notes
