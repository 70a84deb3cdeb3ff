"""CH4 of the United Kingdom, March 2014 (ACRG, University of Bristol): real data, NAME sensitivities on 68 × 78 cells.

    y = H x + ε,  x = scaling of the prior flux in each cell and of the air that enters through N, E, S and W

H is in ppb per unit scaling, so the prior is x = 1 everywhere. The columns add up to the authors' own prior model.
With regions instead of cells, x scales the prior of a whole region, and inherits the cells' covariance through the
share s of each cell in its region's prior flux: B_regions = s B sᵀ, which leaves the prior variance of the sum over
whole regions as it was.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from experiments import schema
from experiments.cases import Citation, MapSpec, Mark, Setup, Structure, TotalSpec
from experiments.data import UNITED_KINGDOM
from experiments.progress import stage
from inversion.basis import Basis, cells, quadtree
from inversion.budget import Measurand, mask_sha256
from inversion.covariance import AbstractCovariance, BlockDiagonal, Dense, Diagonal, Scaled, exponential
from inversion.observations import Component, Observations, mismatch
from inversion.problem import Problem
from transport.errors import TanhengError
from transport.grid import Grid
from transport.units import teragrams_per_year

MONTH = np.datetime64("2014-03-01"), np.datetime64("2014-04-01")
SENSITIVITIES = "inversion_output/tdmcmc_test_CH4_2014-03_68x78.nc"
COUNTRIES = "masks/country_EUROPE.nc"
COUNTRY = "UNITED KINGDOM OF GREAT BRITAIN AND NORTHERN IRELAND"
SITES = {"MHD": ("Mace Head", -9.90, 53.33), "TAC": ("Tacolneston", 1.14, 52.52)}
# The file puts ten columns before the grid: N, E, S, W boundary, then six outer regions that are zero throughout.
BOUNDARY, BEFORE_GRID = 4, 10

CITATIONS = (
    Citation(
        "Lunt, M. F., Rigby, M., Ganesan, A. L., Manning, A. J. (2016): Estimation of trace gas fluxes with "
        "objectively determined basis functions using reversible-jump Markov chain Monte Carlo. "
        "Geosci. Model Dev. 9, 3213–3229.",
        "10.5194/gmd-9-3213-2016",
    ),
    Citation(
        "Data: history of github.com/ACRG-Bristol/acrg (MIT licence). Observations: S. O'Doherty, University of "
        "Bristol; contact the data owner before publication."
    ),
)


def _load() -> tuple[xr.Dataset, xr.Dataset]:
    opened = []
    for path in (SENSITIVITIES, COUNTRIES):
        with xr.open_dataset(UNITED_KINGDOM.fetch(path), engine="h5netcdf") as data:
            opened.append(data.load())
    return opened[0], opened[1]


_VARIABLES = ("y", "y_site", "y_time", "sigma_measure", "h_v_all", "q_ap", "lat", "lon")


def _check_variables(data: xr.Dataset) -> None:
    missing = [name for name in _VARIABLES if name not in data.variables]
    if missing:
        raise TanhengError(
            "the sensitivities file lacks a variable", got=f"without {', '.join(missing)}",
            expected=", ".join(_VARIABLES), remedy="use the file that the case names",
        )  # fmt: skip


def _select(data: xr.Dataset, config: schema.UnitedKingdomObservations) -> np.ndarray:
    schema.require_chosen("observations.sites", config.sites, SITES)
    names = data.y_site.values.astype(str)
    return np.flatnonzero(np.isin(names, config.sites))


def assemble(config: schema.Config) -> Setup:
    """The problem of the United Kingdom case.

    Raises:
        TanhengError: an option that the case cannot use, unknown sites, missing or altered files, grids that disagree.
    """
    case = "uk_ch4"
    schema.expect(config.meteorology, schema.NoMeteorology, "meteorology", case)
    schema.expect(config.transport, schema.GriddedSensitivities, "transport", case)
    schema.expect(config.prior, schema.UnitedKingdomPrior, "prior", case)
    observed = schema.expect(config.observations, schema.UnitedKingdomObservations, "observations", case)
    with stage("observations and sensitivities"):
        data, countries = _load()
        _check_variables(data)
        rows = _select(data, observed)
        grid = Grid.from_centres(data.lon.values, data.lat.values)
        boundary, per_cell = _sensitivities(data, rows)
        basis = _basis(config.control, grid, per_cell)
        observations = _observations(data, rows, observed.model_error_ppb)
        observations = mismatch.apply(observations, [r.rule() for r in observed.mismatch])
        B, of_length = _prior_covariance(data, grid, basis, config)
        H = np.concatenate([boundary, basis.aggregate(per_cell.reshape(-1, *grid.shape))], axis=1)
        problem = Problem(
            H=lx.MatrixLinearOperator(jnp.asarray(H)),
            x_b=jnp.ones(H.shape[1]),
            B=B,
            y=jnp.asarray(observations.values),
            R=mismatch.covariance(observations),
            b=jnp.zeros(len(observations)),
        )
    whole = basis.size == grid.shape[0] * grid.shape[1]
    extent = f"{grid.shape[0]} × {grid.shape[1]}"
    elements = f"cells, {extent} from the south-west" if whole else f"regions of {extent} cells"
    return Setup(
        name="uk_ch4",
        title="CH4 emissions of the United Kingdom, March 2014",
        synthetic=False,
        species="CH4",
        problem=problem,
        observations=observations,
        totals=_totals(data, countries, grid, basis),
        map=_map(data, grid, basis, tuple(observed.sites)),
        blocks=(("boundary N, E, S, W", BOUNDARY, "1"), (elements, basis.size, "1")),
        structure=_structure(data, rows, grid, basis, of_length, config.covariance),
        citations=CITATIONS,
        inputs={f"{UNITED_KINGDOM.name}/{p}": UNITED_KINGDOM.hash_of(p) for p in (SENSITIVITIES, COUNTRIES)},
        notes=(
            "One month and two sites. The authors' short MCMC test run of the same month gives 2.58 ± 0.40 Tg yr-1 "
            "from a prior of 2.79 Tg yr-1; it is not a published number.",
        ),
    )


def _sensitivities(data: xr.Dataset, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m, 4) of the boundaries and (m, cells), in ppb per unit scaling."""
    everything = data.h_v_all.values[rows]
    if np.any(everything[:, BOUNDARY:BEFORE_GRID]):
        raise TanhengError(
            "an outer region has sensitivity", got=SENSITIVITIES, expected="columns 4–9 zero",
            remedy="this is not the file that the case was written for",
        )  # fmt: skip
    return everything[:, :BOUNDARY], everything[:, BEFORE_GRID:]


def _basis(control: schema.Control, grid: Grid, per_cell: np.ndarray) -> Basis:
    """Cells, or regions that the observations see about equally well.

    Raises:
        TanhengError: a control vector that the case cannot use.
    """
    if isinstance(control, schema.RegionsAndBoundary):
        return quadtree(grid.shape, control.regions, np.abs(per_cell).sum(axis=0).reshape(grid.shape))
    schema.expect(control, schema.CellsAndBoundary, "control", "uk_ch4")
    return cells(grid.shape)


def _structure(data, rows, grid: Grid, basis: Basis, of_length, covariance: schema.Covariance) -> Structure:
    lon, lat = np.meshgrid(data.lon.values.astype(float), data.lat.values.astype(float))
    size = np.maximum(basis.aggregate(np.ones(grid.shape)), 1.0)
    centres = np.stack([basis.aggregate(lon), basis.aggregate(lat)], axis=1) / size[:, None]
    sites = data.y_site.values.astype(str)[rows]
    nowhere = np.full((BOUNDARY, 2), np.nan)
    return Structure(
        positive=np.r_[np.zeros(BOUNDARY, bool), np.ones(basis.size, bool)],
        places=np.concatenate([nowhere, centres]),
        observed_at=np.array([SITES[name][1:] for name in sites], dtype=float),
        trend_names=("level of the emission",),
        trend=np.r_[np.zeros(BOUNDARY), np.ones(basis.size)][:, None],
        prior_of_length=of_length,
        length_km=covariance.length_km if isinstance(covariance, schema.ExponentialCovariance) else None,
    )


def _observations(data: xr.Dataset, rows: np.ndarray, model_error: float) -> Observations:
    names = data.y_site.values.astype(str)[rows]
    # The file states no unit; dry CH4 in ppb lies near 2000 anywhere.
    middle = float(np.nanmedian(data.y.values))
    if not 1000.0 < middle < 5000.0:
        raise TanhengError(
            "the observations are not CH4 in ppb",
            got=f"median {middle:.6g}",
            expected="1000…5000 ppb",
            remedy="convert the mole fractions to ppb",
        )
    day = data.y_time.values[rows].astype("datetime64[s]")
    return Observations(
        values=data.y.values[rows],
        start=day,
        end=day + np.timedelta64(1, "D"),
        groups=np.array([SITES[n][0] for n in names]),
        lon=np.array([SITES[n][1] for n in names]),
        lat=np.array([SITES[n][2] for n in names]),
        components=(
            Component.independent("repeatability", data.sigma_measure.values[rows]),
            Component.independent("transport", np.full(rows.size, model_error)),
        ),
        species="CH4",
        unit="ppb",
        kinds=np.full(rows.size, "tower"),
    )


class PriorOfLength(eqx.Module):
    """Correlation length (km) ↦ B of boundary and elements.

    Args:
        distances: (cells, cells) km.
        share: (elements, cells) share of each cell in the prior flux of its region; None for cells.
        sigma_boundary, sigma_cell: standard deviations.
    """

    distances: Float[Array, "c c"]
    share: Float[Array, "k c"] | None
    sigma_boundary: float
    sigma_cell: float

    def __call__(self, length_km) -> AbstractCovariance:
        """B."""
        boundary = Diagonal(jnp.full(BOUNDARY, self.sigma_boundary))
        if self.share is None:
            correlation = exponential(self.distances, length_km)
            return BlockDiagonal((boundary, Scaled(jnp.full(len(self.distances), self.sigma_cell), correlation)))
        inherited = self.share @ jnp.exp(-self.distances / length_km) @ self.share.T
        return BlockDiagonal((boundary, Dense(self.sigma_cell**2 * 0.5 * (inherited + inherited.T))))


def _share(data: xr.Dataset, grid: Grid, basis: Basis) -> np.ndarray | None:
    """(elements, cells); None where elements are cells. A region without prior flux takes its cells by area."""
    if basis.size == grid.shape[0] * grid.shape[1]:
        return None
    flux = data.q_ap.values * grid.areas
    member = basis.matrix().T
    empty = basis.aggregate(flux) <= 0.0
    weight = np.where(empty[:, None], member * grid.areas.ravel(), member * flux.ravel())
    return weight / weight.sum(axis=1, keepdims=True)


def _prior_covariance(
    data: xr.Dataset, grid: Grid, basis: Basis, config: schema.Config
) -> tuple[AbstractCovariance, Callable | None]:
    """B, and B as a function of the length where there is one."""
    control = config.control
    assert isinstance(control, schema.CellsAndBoundary | schema.RegionsAndBoundary)
    share = _share(data, grid, basis)
    shares = None if share is None else jnp.asarray(share)
    if isinstance(config.covariance, schema.ExponentialCovariance):
        of_length = PriorOfLength(jnp.asarray(grid.distances()), shares, control.sigma_boundary, control.sigma_cell)
        return of_length(config.covariance.length_km), of_length
    boundary = Diagonal(np.full(BOUNDARY, control.sigma_boundary))
    spread = np.ones(basis.size) if share is None else np.sqrt((share**2).sum(axis=1))
    return BlockDiagonal((boundary, Diagonal(control.sigma_cell * spread))), None


def _totals(data: xr.Dataset, countries: xr.Dataset, grid: Grid, basis: Basis) -> TotalSpec:
    names = [str(n) for n in countries.name.values]
    aligned = countries.country.reindex(lat=data.lat, lon=data.lon, method="nearest", tolerance=1e-3)
    if aligned.isnull().any():
        raise TanhengError(
            "the country mask is on another grid",
            got=f"lat {float(countries.lat.min()):.3f}…{float(countries.lat.max()):.3f}, "
            f"lon {float(countries.lon.min()):.3f}…{float(countries.lon.max()):.3f}",
            expected=f"every centre of {grid!r}",
            remedy="regrid the mask to the sensitivities' grid",
        )
    per_cell = data.q_ap.values * grid.areas * teragrams_per_year("CH4")
    regions, weights, measurands = [], [], []
    for label, country in (("United Kingdom", COUNTRY), ("Ireland", "IRELAND")):
        inside = aligned.values == names.index(country)
        regions.append(label)
        weights.append(np.concatenate([np.zeros(BOUNDARY), basis.aggregate(per_cell * inside)]))
        measurands.append(Measurand("CH4", label, mask_sha256(grid, inside), *MONTH))
    period = "2014-03-01/2014-03-31"
    return TotalSpec(tuple(regions), period, np.array(weights), "Tg CH4 yr-1", measurands=tuple(measurands))


def _map(data: xr.Dataset, grid: Grid, basis: Basis, sites: tuple[str, ...]) -> MapSpec:
    flux = data.q_ap.values.ravel() * 1e9
    weights = np.concatenate([np.zeros((flux.size, BOUNDARY)), flux[:, None] * basis.matrix()], axis=1)
    return MapSpec(
        title="CH4 flux, March 2014",
        unit="nmol m-2 s-1",
        crs="EPSG:4326",
        x_edges=grid.x_edges,
        y_edges=grid.y_edges,
        layout=np.arange(flux.size).reshape(grid.shape),
        weights=weights,
        marks=tuple(Mark(SITES[s][1], SITES[s][2], SITES[s][0], "tower") for s in sites),
        extent=(-12.4, 9.0, 47.0, 61.0),
        coast=True,
    )
