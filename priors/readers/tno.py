"""TNO GHGco: a list of area and point sources by GNFR sector, kg yr-1."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from inversion.observations.readers.files import NetCDF
from inversion.observations.record import Source, Step
from priors.inventory import Inventory
from priors.readers.cells import Box, Cells, gathered, netcdf_cells, year_of
from priors.readers.points import Catalogue, Facility
from transport.errors import TanhengError

ATTRIBUTION = (
    "TNO GHGco emission inventory. Super et al. (2020), Atmos. Chem. Phys. 20, 1795, doi 10.5194/acp-20-1795-2020."
)
AREA, POINT = 1, 2
_VARIABLES = {"CO2": ("co2_ff", "co2_bf"), "CH4": ("ch4",)}
_LABELS = {"co2_ff": "", "co2_bf": " short-cycle", "ch4": ""}
_UNITS: dict[str, float] = dict.fromkeys(("kg/year", "kg/yr", "kg yr-1", "kg year-1"), 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class _List:
    """Sources of a file: where, what kind, which sector."""

    cells: Cells
    row: np.ndarray
    column: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    kind: np.ndarray
    category: np.ndarray
    names: list[str]
    mass: dict[str, np.ndarray]


def read_tno(path: str | Path, species: str, year: int | None = None, box: Box | None = None) -> Inventory:
    """Area sources on the file's grid; point sources are left to `read_tno_points`, and their mass is named in a step.

    rate = kg yr-1 / seconds of the year. CO2 of biofuel becomes "<sector> short-cycle".

    Args:
        path: of the NetCDF file.
        species: "CO2" or "CH4".
        year: of the emissions; None: the four digits after "year" in the file's name.
        box: west, east, south, north in degrees.

    Raises:
        TanhengError: not such a file, sources that are not in the cell that they name.
    """
    with NetCDF(path) as nc:
        found, times, source = _read(nc, species, box), year_of(_year(nc, year)), _source(nc, "read_tno")
    seconds = float((times[1] - times[0]).astype(int))
    rates = {}
    for k, name in enumerate(found.names):
        for variable, mass in found.mass.items():
            chosen = (found.kind == AREA) & (found.category == k + 1)
            total = np.zeros(found.cells.shape)
            np.add.at(total, (found.row[chosen], found.column[chosen]), mass[chosen] / seconds)
            rates[name + _LABELS[variable]] = found.cells.take(total)[None]
    inventory = gathered(species, rates, found.cells, times, source, "GNFR")
    aside = sum(float(m[found.kind == POINT].sum()) for m in found.mass.values()) / seconds
    points = int(np.count_nonzero(found.kind == POINT))
    step = Step(f"point sources left aside, {aside:.9g} kg s-1 in the whole file", len(found.kind) - points,
                (("point sources", points),))  # fmt: skip
    return dataclasses.replace(inventory, steps=(*inventory.steps, step))


def read_tno_points(path: str | Path, species: str, year: int | None = None, box: Box | None = None) -> Catalogue:
    """Point sources of the file.

    Raises:
        TanhengError: not such a file.
    """
    with NetCDF(path) as nc:
        found, year, source = _read(nc, species, box), _year(nc, year), _source(nc, "read_tno_points")
    seconds = float(np.diff(year_of(year))[0].astype(int))
    x, y = found.cells.grid.x_edges, found.cells.grid.y_edges
    points = []
    for i in np.flatnonzero(found.kind == POINT):
        inside = (found.lon[i] - x[0]) % 360.0 <= x[-1] - x[0] and y[0] <= found.lat[i] <= y[-1]
        for variable, mass in found.mass.items():
            if inside and mass[i] > 0.0:
                sector = found.names[int(found.category[i]) - 1] + _LABELS[variable]
                points.append(
                    Facility(f"source {i + 1}", float(found.lon[i]), float(found.lat[i]), species,
                                float(mass[i] / seconds), sector)
                )  # fmt: skip
    return Catalogue(tuple(points), year, (source,), (Step("read", len(points)),))


def _source(nc: NetCDF, reader: str) -> Source:
    return nc.source(reader, "start", ATTRIBUTION, ("kg yr-1 of each source",))


def _year(nc: NetCDF, year: int | None) -> int:
    match = re.search(r"year((?:19|20)\d\d)", nc.name)
    if year is None and match is None:
        raise TanhengError(
            f"{nc.name} does not say its year", got=nc.name, expected="year<YYYY> in its name", remedy="give the year"
        )
    return int(match[1]) if year is None and match else int(year or 0)


def _read(nc: NetCDF, species: str, box: Box | None) -> _List:
    if species not in _VARIABLES:
        raise TanhengError(
            "the list has no such species", got=species, expected=" or ".join(_VARIABLES), remedy="ask for one of them"
        )
    cells = netcdf_cells(nc, box, "longitude", "latitude")
    names = nc.words("emis_cat_code", nc.dims("emis_cat_code")[:1]).tolist()

    def index(name: str, size: int) -> np.ndarray:
        values = nc.numbers(name, ("source",), integer=True)
        if not np.all((values >= 1) & (values <= size)):
            raise TanhengError(
                f"{name} of {nc.name} points nowhere",
                got=values[:3],
                expected=f"1…{size}",
                remedy="copy the file again",
            )
        return values.astype(int)

    row, column = index("latitude_index", cells.shape[0]) - 1, index("longitude_index", cells.shape[1]) - 1
    lon, lat = (nc.numbers(f"{a}_source", ("source",)) for a in ("longitude", "latitude"))
    kind, category = index("source_type_index", 2), index("emission_category_index", len(names))
    _in_their_cells(nc, row, column, lon, lat)
    mass = {v: nc.numbers(v, ("source",), _UNITS) for v in _VARIABLES[species]}
    bad = sum(int(np.count_nonzero(~((m >= 0.0) & (m < 1e12)))) for m in mass.values())
    if bad or len(set(names)) != len(names):
        raise TanhengError(
            f"masses or sectors of {nc.name} cannot be meant", got=f"{bad} masses, sectors {', '.join(names)}",
            expected="0…10¹² kg yr-1, each sector once", remedy="copy the file again",
        )  # fmt: skip
    return _List(cells, row, column, lon, lat, kind, category, names, mass)


def _in_their_cells(nc: NetCDF, row: np.ndarray, column: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> None:
    """Refuse sources whose index and place disagree, half a cell of slack for rounding."""
    x, y = nc.numbers("longitude", ("longitude",)), nc.numbers("latitude", ("latitude",))
    off = [np.abs(lon - x[column]) / abs(x[1] - x[0]), np.abs(lat - y[row]) / abs(y[1] - y[0])]
    worst = max(float(o.max(initial=0.0)) if np.isfinite(o).all() else np.inf for o in off)
    if not worst <= 1.0:
        raise TanhengError(
            f"sources of {nc.name} do not lie in the cells that they name", got=f"up to {worst:.3g} cells away",
            expected="in their cells", remedy="copy the file again",
        )  # fmt: skip
