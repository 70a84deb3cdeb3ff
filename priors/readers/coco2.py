"""CoCO2 catalogue of power plants (Guevara et al. 2024): annual emissions of 2018 as CSV."""

import csv
import re
from pathlib import Path

from inversion.observations.readers.files import lines_of, source_of
from inversion.observations.record import Step
from priors.readers.cells import Box, check_box, year_of
from priors.readers.points import Catalogue, Facility
from transport.errors import TanhengError

ATTRIBUTION = (
    "CoCO2 Point Source Database, doi 10.24380/mxjo-nram. Guevara et al. (2024), doi 10.5194/essd-16-337-2024."
)
YEAR = 2018  # stated by the README of the database, not by the file
# No power plant emits more CO2: Taichung and Tuoketuo are near 30 Mt yr-1.
LARGEST = 1e8  # t yr-1
_COLUMNS = {"CO2": "co2_emis_ty", "CH4": "ch4_emis_ty"}
_PROFILES = {"month": "ID_MonthFact", "week": "ID_WeekFact", "hour": "ID_HourFact", "vertical": "ID_VertProf"}
_ID = re.compile(r"CoCO2_\d{5}")


def read_coco2(path: str | Path, species: str = "CO2", box: Box | None = None) -> Catalogue:
    """Plants of the catalogue, t yr-1 in the file.

    Args:
        path: of coco2_ps_catalogue_v1.1.csv.
        species: "CO2" or "CH4".
        box: west, east, south, north in degrees.

    Raises:
        TanhengError: not this table, a plant twice, a place or a mass that cannot be meant.
    """
    check_box(box)
    lines, name = lines_of(path), Path(path).name
    if species not in _COLUMNS:
        raise TanhengError(
            "the catalogue has no such species",
            got=species,
            expected=" or ".join(_COLUMNS),
            remedy="ask for one of them",
        )
    try:
        header, *rows = list(csv.reader(lines, strict=True))
    except (csv.Error, ValueError) as error:
        raise _wrong(name, 1, str(error)) from error
    needed = {"ID", "ISO3", "fuel", "longitude", "latitude", _COLUMNS[species], *_PROFILES.values()}
    if not needed <= set(header) or len(set(header)) != len(header):
        raise _wrong(name, 1, ", ".join(header)[:200])
    seconds = float((year_of(YEAR)[1] - year_of(YEAR)[0]).astype(int))
    points, names = [], set()
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise _wrong(name, number, f"{len(row)} columns")
        point = _point(dict(zip(header, row, strict=True)), species, seconds, name, number)
        if point.name in names:
            raise _wrong(name, number, f"{point.name} a second time")
        names.add(point.name)
        points.append(point)
    kept = [p for p in points if box is None or _inside(p, box)]
    if not kept:
        raise _wrong(name, len(lines), "no plant" + ("" if box is None else f" in {box}"))
    source = source_of(path, "read_coco2", "start", ATTRIBUTION, (f"rates are means of {YEAR}, 365 d",))
    dropped = (("outside the box", len(points) - len(kept)),) if box is not None else ()
    return Catalogue(tuple(kept), YEAR, (source,), (Step("read", len(kept), dropped),))


def _point(row: dict[str, str], species: str, seconds: float, name: str, number: int) -> Facility:
    try:
        lon, lat, tonnes = (float(row[c]) for c in ("longitude", "latitude", _COLUMNS[species]))
    except ValueError as error:
        raise _wrong(name, number, str(error)) from error
    if not (-180.0 <= lon <= 180.0 and -90.0 <= lat <= 90.0 and 0.0 <= tonnes <= LARGEST and _ID.fullmatch(row["ID"])):
        raise _wrong(name, number, f"{row['ID']} at {lon:g}, {lat:g}: {tonnes:g} t yr-1")
    profiles = tuple((kind, row[column]) for kind, column in _PROFILES.items())
    return Facility(row["ID"], lon, lat, species, tonnes * 1e3 / seconds, row["fuel"], row["ISO3"], profiles)


def _inside(point: Facility, box: Box) -> bool:
    return (point.lon - box[0]) % 360.0 <= box[1] - box[0] and box[2] <= point.lat <= box[3]


def _wrong(name: str, number: int, got: str) -> TanhengError:
    return TanhengError(
        f"line {number} of {name} is not one of the CoCO2 catalogue", got=got,
        expected="ID, ISO3, fuel, longitude, latitude, emissions in t yr-1 and profiles, each plant once",
        remedy="use coco2_ps_catalogue_v1.1.csv as it was published",
    )  # fmt: skip
