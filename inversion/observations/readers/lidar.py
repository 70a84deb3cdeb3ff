"""Lidar: columns of integrated-path differential absorption (IPDA) from orbit or aircraft, and horizontal paths.

No public product of IPDA soundings has names that we could verify, so this module defines a CF NetCDF form of its own
(docs/observations_columns_lidar.md); a converter from a product writes these names.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations, sift
from inversion.observations.readers.files import NetCDF, lines_of, seconds_since, source_of
from inversion.observations.readers.named_columns import Table, repeated, table
from inversion.observations.record import Source, Step
from inversion.observations.units import UNIT_OF, mole_fraction
from inversion.observations.vertical import Vertical
from transport.constants import MOLAR_MASS_DRY_AIR, MOLAR_MASS_WATER
from transport.errors import TanhengError

IPDA_FORMAT = "tanheng IPDA soundings 1"
_AVOGADRO = 6.02214076e23  # mol-1, exact since the 2019 revision of the SI
_SECONDS = {"seconds since 1970-01-01": 1.0, "seconds since 1970-01-01 00:00:00": 1.0}
_PATHS = {"two-way": True, "one-way": False}
_RANGE = {"ppm": (250.0, 2000.0), "ppb": (500.0, 100000.0)}
_PLACE = ("start_lon", "start_lat", "start_height", "end_lon", "end_lat", "end_height")
_REQUIRED = (*_PLACE, "start_time", "end_time", "value", "unit")
_OPTIONAL = ("u_repeatability", "u_calibration", "instrument", "scale")
# Longitude, latitude in degrees and height in m of both ends at most.
_REACH = (180.0, 90.0, 2e4, 180.0, 90.0, 2e4)
# Every column of `read_paths` under its own name.
PATH_COLUMNS = {name: name for name in (*_REQUIRED, *_OPTIONAL)}


def weighting_function(absorption: np.ndarray, water: np.ndarray, gravity: np.ndarray) -> np.ndarray:
    """WF(p) = Δσ(p) / (g [M_air + M_H2O ρ]) with masses of one molecule.

    Args:
        absorption: Δσ = σ_on − σ_off, m2 per molecule.
        water: ρ, mole fraction in dry air.
        gravity: g, m s-2.

    Returns:
        WF in Pa-1, of the shape of the arguments.

    Reference: Ehret et al. 2008, doi 10.1007/s00340-007-2892-3.
    """
    return absorption * _AVOGADRO / (gravity * (MOLAR_MASS_DRY_AIR + MOLAR_MASS_WATER * water))


def ipda_column(daod: np.ndarray, wf: np.ndarray, dp: np.ndarray, two_way: bool) -> np.ndarray:
    """X = DAOD / (k Σ_i WF_i Δp_i), k = 2 for an optical depth there and back, 1 for one way.

    Args:
        daod: (n,) differential absorption optical depth.
        wf: (n, m) Pa-1.
        dp: (n, m) Pa, positive thickness of the layers.
        two_way: whether `daod` counts the path twice.

    Returns:
        (n,) dry-air mole fraction, mol mol-1, weighted by WF.

    Reference: Ehret et al. 2008, doi 10.1007/s00340-007-2892-3.
    """
    return daod / ((2.0 if two_way else 1.0) * np.sum(wf * dp, axis=-1))


def read_ipda(path: str | Path) -> Observations:
    """Columns of IPDA soundings in the form of this module, with their weighting functions on layers.

    y = Σ_i h_i x_i,  h_i = WF_i Δp_i / Σ WF Δp:  kernel one and, as a weighting function has no a-priori profile,
    x_a = 0 and y_a = 0.

    Random errors are each sounding's own ("retrieval noise"), the bias is shared by an orbit or flight ("retrieval
    bias"). Soundings whose column does not follow from their optical depth (`ipda_column`) within 1e-4 are left out.

    Args:
        path: of the file.

    Raises:
        TanhengError: another form, units, or no sounding that can be used.

    Reference: Opt. Express 2024, doi 10.1364/OE.517736 (quantities of the product); CF-1.11.
    """
    with NetCDF(path) as file:
        species, way = _form(file)
        fields = _ipda_fields(file, species)
        orbit = file.words("orbit", ("sounding",))
        instrument, scale = file.text("instrument"), file.text("calibration_scale", "")
        notes = ("no a-priori term: a pure weighting function", f"optical depth is {way}")
        source = file.source("ipda", "instant", file.text("attribution", ""), notes)
    if fields["edges"].shape[1] != fields["wf"].shape[1] + 1:
        raise TanhengError(
            f"layers of {source.name} lack an edge", got=fields["edges"].shape, expected="one edge more than layers",
            remedy="convert the product again",
        )  # fmt: skip
    return _soundings(fields, orbit, species, scale, instrument, _PATHS[way], source)


def _form(file: NetCDF) -> tuple[str, str]:
    form, way = file.text("format", ""), file.text("path", "", of="daod") if file.has("daod") else ""
    species = file.text("species", "")
    if form != IPDA_FORMAT or way not in _PATHS or species not in ("CO2", "CH4"):
        raise TanhengError(
            f"{file.name} is not a file of IPDA soundings", got=f"format {form!r}, path {way!r}, species {species!r}",
            expected=f"{IPDA_FORMAT!r}; daod with path one-way or two-way; CO2 or CH4",
            remedy="convert the product to the form in docs/observations_columns_lidar.md",
        )  # fmt: skip
    return species, way


def _ipda_fields(file: NetCDF, species: str) -> dict[str, np.ndarray]:
    unit = {"1e-6": 1.0, "ppm": 1.0} if UNIT_OF[species] == "ppm" else {"1e-9": 1.0, "ppb": 1.0}
    one = ("sounding",)
    return {
        "time": file.numbers("time", one, _SECONDS),
        "lat": file.numbers("latitude", one, {"degrees_north": 1.0}),
        "lon": file.numbers("longitude", one, {"degrees_east": 1.0}),
        "altitude": file.numbers("surface_altitude", one, {"m": 1.0}),
        "daod": file.numbers("daod", one, {"1": 1.0}),
        "value": file.numbers("column", one, unit),
        "noise": file.numbers("column_noise", one, unit),
        "bias": file.numbers("column_bias", one, unit),
        "flag": file.numbers("quality_flag", one, integer=True),
        "iwf": file.numbers("integrated_weighting_function", one, {"1": 1.0}),
        "edges": file.numbers("pressure_edge", ("sounding", "edge"), {"Pa": 1.0, "hPa": 100.0}),
        "wf": file.numbers("weighting_function", ("sounding", "layer"), {"Pa-1": 1.0}),
    }


def _soundings(
    fields: dict[str, np.ndarray], orbit: np.ndarray, species: str, scale: str, instrument: str, two_way: bool,
    source: Source,
) -> Observations:  # fmt: skip
    dp, (low, high) = -np.diff(fields["edges"]), _RANGE[UNIT_OF[species]]
    parts = fields["wf"] * dp
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        own = ipda_column(fields["daod"], fields["wf"], dp, two_way) / mole_fraction(UNIT_OF[species], source.name)
        whole = np.all([np.isfinite(v).reshape(len(dp), -1).all(axis=1) for v in fields.values()], axis=0)
        keep, dropped = sift({
            "fill value": ~whole,
            "quality flag not 0": fields["flag"] != 0,
            f"value outside {low:g}…{high:g} {UNIT_OF[species]}": ~((fields["value"] > low) & (fields["value"] < high)),
            "noise or bias not positive": (fields["noise"] <= 0.0) | (fields["bias"] < 0.0),
            "place not on Earth": (np.abs(fields["lat"]) > 90.0) | (np.abs(fields["lon"]) > 180.0),
            "pressures not from the ground up": ~np.all(dp > 0.0, axis=1) | (fields["edges"][:, -1] < 0.0)
            | (fields["edges"][:, 0] > 1.1e5),
            "weighting function does not integrate to what the file states":
                ~np.isclose(parts.sum(axis=1), fields["iwf"], rtol=1e-4, atol=0.0) | np.any(fields["wf"] < 0.0, axis=1),
            "column does not follow from its optical depth": ~np.isclose(own, fields["value"], rtol=1e-4, atol=0.0),
            "orbit without name": orbit == "",
        }, len(dp))  # fmt: skip
    rows = np.flatnonzero(keep)
    take, n, h = {k: v[rows] for k, v in fields.items()}, rows.size, parts[rows]
    time = seconds_since("1970-01-01", take["time"], source.name)
    return Observations(
        values=take["value"], start=time, end=time, groups=orbit[rows], kinds=np.full(n, "column"),
        unit=UNIT_OF[species], species=species,
        components=(
            Component.independent("retrieval noise", take["noise"]),
            Component.shared("retrieval bias", take["bias"], np.char.add(f"{instrument} ", orbit[rows])),
        ),
        lon=take["lon"], lat=take["lat"], altitude=take["altitude"], scales=np.full(n, scale),
        flags=take["flag"].astype(int).astype(str), instruments=np.full(n, instrument),
        vertical=Vertical(
            take["edges"], np.ones(n, bool), h / h.sum(axis=1, keepdims=True), np.ones_like(h), np.zeros_like(h),
            np.zeros(n),
        ),
        extra={"daod": take["daod"], "surface_pressure": take["edges"][:, 0]},
        sources=(source,), steps=(Step("read", n, dropped),),
    )  # fmt: skip


def read_paths(path: str | Path, species: str, columns: Mapping[str, str] = PATH_COLUMNS) -> Observations:
    """Mean mole fractions along straight horizontal or slant paths (open-path spectrometer, mobile DIAL) from a table.

    Args:
        path: of a CSV file: a line of names, then rows. Times are ISO 8601, UTC where they have no offset; heights
            are m above ground; uncertainties are standard uncertainties in the unit of the value.
        species: e.g. "CH4".
        columns: our name to the name in the file: `start_lon`, `start_lat`, `start_height`, `end_lon`, `end_lat`,
            `end_height`, `start_time`, `end_time`, `value`, `unit` are required, `u_repeatability`, `u_calibration`
            (one error per instrument), `instrument`, `scale` may be left out. What is declared must be there.

    Raises:
        TanhengError: a column is undeclared or missing, an unknown unit or species, or no row that can be used.
    """
    unknown, missing = sorted(set(columns) - set(PATH_COLUMNS)), sorted(set(_REQUIRED) - set(columns))
    if unknown or missing or species not in UNIT_OF:
        raise TanhengError(
            "the columns of a table of paths are not declared", got=f"unknown {unknown}, missing {missing}, {species}",
            expected=f"{', '.join(_REQUIRED)}; maybe {', '.join(_OPTIONAL)}; of {', '.join(UNIT_OF)}",
            remedy="give columns={our name: name in the file}",
        )  # fmt: skip
    path, unit = Path(path), UNIT_OF[species]
    rows = table(path.name, lines_of(path), tuple(columns.values()))
    optional = [k for k in ("u_repeatability", "u_calibration") if k in columns]
    numbers = {k: rows.numbers(columns[k]) for k in (*_PLACE, "value", *optional)}
    words = {k: rows.text(columns[k]) if k in columns else np.full(len(rows), "") for k in ("instrument", "scale")}
    factors = {
        u: mole_fraction(u, f"{path.name}") / mole_fraction(unit, species) for u in set(rows.text(columns["unit"]))
    }
    factor = np.array([factors[u] for u in rows.text(columns["unit"])])
    numbers |= {k: numbers[k] * factor for k in ("value", *optional)}
    notes = ("times without offset are taken as UTC", "paths are straight between their ends")
    source = source_of(path, "paths", "start", notes=notes)
    return _paths(
        rows, numbers, words, rows.times(columns["start_time"]), rows.times(columns["end_time"]), species, source
    )


def _paths(
    rows: Table, numbers: dict[str, np.ndarray], words: dict[str, np.ndarray], start: np.ndarray, end: np.ndarray,
    species: str, source: Source,
) -> Observations:  # fmt: skip
    value, unit, place = numbers["value"], UNIT_OF[species], np.stack([numbers[k] for k in _PLACE], axis=1)
    negative = [numbers[k] < 0.0 for k in ("u_repeatability", "u_calibration") if k in numbers]
    keys = [words["instrument"], start.astype(np.int64), end.astype(np.int64), *place.T]
    with np.errstate(invalid="ignore"):
        keep, dropped = sift({
            "value is no number": ~np.isfinite(value),
            "value not positive": value <= 0.0,
            "time is none": np.isnat(start) | np.isnat(end),
            "ends before it starts": end < start,
            "an end of the path is not known": ~np.all(np.isfinite(place), axis=1),
            "an end of the path is not on Earth": ~np.all(np.abs(place) <= _REACH, axis=1),
            "path without length": np.all(place[:, :3] == place[:, 3:], axis=1),
            "uncertainty is negative": np.any([np.zeros(len(value), bool), *negative], axis=0),
            "the same path twice": repeated(*keys),
        }, len(value))  # fmt: skip
    if rows.skipped:
        dropped = ((f"line without {len(rows.names)} words", rows.skipped), *dropped)
    n, instrument = int(keep.sum()), words["instrument"][keep]
    components = []
    if "u_repeatability" in numbers:
        components.append(Component.independent("repeatability", numbers["u_repeatability"][keep]))
    if "u_calibration" in numbers:
        whose = np.where(instrument == "", source.name, instrument)
        components.append(Component.shared("calibration", numbers["u_calibration"][keep], whose))
    place = place[keep]
    return Observations(
        values=value[keep], start=start[keep], end=end[keep], kinds=np.full(n, "path"), unit=unit, species=species,
        groups=np.where(instrument == "", "path", instrument), components=tuple(components), lon=place[:, 0],
        lat=place[:, 1], height=place[:, 2], scales=words["scale"][keep], instruments=instrument,
        ends=place[:, 3:].copy(), sources=(source,), steps=(Step("read", n, dropped),),
    )  # fmt: skip
