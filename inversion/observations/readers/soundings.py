"""What readers of column products share: which rows are believed, and their vertical weights."""

from collections.abc import Mapping, Sequence

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import sift
from inversion.observations.readers.files import NetCDF
from inversion.observations.record import Step
from inversion.observations.vertical import Vertical
from transport.errors import TanhengError

# Column means beyond which a unit is wrong or a fill was read as a number.
PLAUSIBLE = {"CO2": (250.0, 2000.0), "CH4": (1000.0, 5000.0)}  # ppm, ppb
DEGREES_NORTH = {"degrees_north": 1.0, "degrees north": 1.0}
DEGREES_EAST = {"degrees_east": 1.0, "degrees east": 1.0}
_LARGEST_KERNEL = 20.0
_SURFACE = 3e4, 1.1e5  # Pa, above Everest … below the Dead Sea


def epoch(file: NetCDF, name: str, word: str) -> str:
    """ISO date of a unit such as "seconds since 1970-01-01 00:00:00".

    Args:
        file: open file.
        name: of the variable of time.
        word: unit that is expected, e.g. "seconds".

    Raises:
        TanhengError: another unit, or no date.
    """
    unit = file.text("units", "", of=name)
    first, _, date = unit.partition(" since ")
    try:
        if first != word or not date:
            raise ValueError(unit)
        moment = date.strip().removesuffix("UTC").strip()
        # Nanoseconds reach from 1678 to 2262 and wrap round beyond.
        if not np.datetime64("1900-01-01", "s") <= np.datetime64(moment, "s") <= np.datetime64("2200-01-01", "s"):
            raise ValueError(unit)
        return str(np.datetime64(moment, "ns"))
    except ValueError as error:
        raise TanhengError(
            f"{name} of {file.name} has the wrong unit", got=repr(unit), expected=f"'{word} since YYYY-MM-DD hh:mm:ss'",
            remedy="use the file as its makers published it",
        ) from error  # fmt: skip


def unusable(
    values: np.ndarray, start: np.ndarray, lon: np.ndarray, lat: np.ndarray, limits: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Reasons to leave out rows, by what every column needs.

    Args:
        values: (n,).
        start: (n,) datetime64.
        lon, lat: (n,) degrees.
        limits: lowest and highest value that can be meant.
    """
    with np.errstate(invalid="ignore"):
        return {
            "no value": ~np.isfinite(values),
            "value cannot be meant": ~((values >= limits[0]) & (values <= limits[1])),
            "no time": np.isnat(start),
            "no place": ~((np.abs(lat) <= 90.0) & (np.abs(lon) <= 180.0)),
        }


def astray(lon: np.ndarray, lat: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(n,) True where a centre lies outside the box of its corners; not judged across the date line."""
    with np.errstate(invalid="ignore"):
        low, high = corners.min(axis=1), corners.max(axis=1)
        wide = high[:, 0] - low[:, 0] > 180.0
        return ((lat < low[:, 1]) | (lat > high[:, 1])) | (((lon < low[:, 0]) | (lon > high[:, 0])) & ~wide)


def faults(
    pressure: np.ndarray, layered: np.ndarray, weights: np.ndarray, kernel: np.ndarray, prior: np.ndarray,
    prior_value: np.ndarray, limits: tuple[float, float] | None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Reasons not to believe the profiles of rows; arguments as of `Vertical`, from the ground up.

    Σ h = 1,  |h − Δp/p_s| ≤ 0.022,  Σ h x_a = y_a,  p decreasing from 300…1100 hPa, all present, |a| ≤ 20

    Args:
        limits: lowest and highest a-priori column that can be meant; None of column amounts, whose h and y_a are not
            checked.
    """
    present = ~np.isnan(weights)
    count = present.sum(axis=1)
    with np.errstate(invalid="ignore"):
        whole = [np.isfinite(np.where(present, a, 0.0)).all(axis=1) for a in (weights, kernel, prior)]
        pressures = np.isfinite(pressure).sum(axis=1) == count + layered
        reasons = {
            "a level is missing": ~(np.logical_and.reduce(whole) & pressures & (count > 1)),
            "pressures do not decrease to the top": (np.diff(pressure, axis=1) >= 0.0).any(axis=1)
            | (pressure < 0.0).any(axis=1),
            "surface pressure cannot be meant": ~((pressure[:, 0] >= _SURFACE[0]) & (pressure[:, 0] <= _SURFACE[1])),
            "kernel or prior cannot be meant": (np.abs(kernel) > _LARGEST_KERNEL).any(axis=1)
            | (prior < 0.0).any(axis=1),
        }
        if limits is not None:
            reasons["weights do not sum to one"] = ~(np.abs(np.nansum(weights, axis=1) - 1.0) <= 1e-3)
            # Over high ground GOSAT's lowest weights are up to 0.02 larger than the spacing of its levels.
            reasons["weights do not follow the pressures"] = (
                np.abs(weights - shares(pressure, count, weights.shape[1])) > 0.022
            ).any(axis=1)
            column = np.nansum(weights * prior, axis=1)
            reasons["a-priori column cannot be meant"] = ~((prior_value >= limits[0]) & (prior_value <= limits[1]))
            reasons["a-priori column is not the weighted profile"] = ~(
                np.abs(column - prior_value) <= 5e-4 * np.abs(prior_value)
            )
    return reasons


def shares(pressure: np.ndarray, count: np.ndarray, m: int) -> np.ndarray:
    """(n, m) share of the column's pressure: Δp of m layers, half the distance of the neighbours of m levels.

    Args:
        pressure: (n, m + 1) edges or (n, m) levels, missing ones last.
        count: (n,) number of layers or levels that are not missing.
        m: number of layers or levels.
    """
    edges = pressure.shape[1] - m
    steps = -np.diff(pressure, axis=1)
    if not edges:
        padded = np.pad(np.nan_to_num(steps, nan=0.0), ((0, 0), (1, 1)))
        steps = 0.5 * (padded[:, 1:] + padded[:, :-1])
    last = np.clip(count + edges - 1, 0, pressure.shape[1] - 1)
    return steps / (pressure[:, 0] - pressure[np.arange(len(pressure)), last])[:, None]


def believe(
    reasons: Mapping[str, np.ndarray], profiles: Mapping[str, np.ndarray], limits: tuple[float, float] | None
) -> tuple[np.ndarray, Vertical, Step]:
    """Rows that nothing speaks against, their profiles, and the record.

    Args:
        reasons: reason to (n,) mask of rows to leave out, in order.
        profiles: arguments of `Vertical` for all n rows.
        limits: as in `faults`.

    Returns:
        indices of the rows kept, their vertical weights, the step "read".
    """
    n = len(profiles["prior_value"])
    keep, dropped = sift(reasons, n)
    rows = np.flatnonzero(keep)
    some = {name: a[rows] for name, a in profiles.items()}
    good, more = sift(faults(**some, limits=limits), rows.size)
    vertical = Vertical(**{name: a[good] for name, a in some.items()})
    return rows[good], vertical, Step("read", int(good.sum()), dropped + more)


def noise(sigma: np.ndarray) -> Component:
    """The retrieval's own uncertainty, NaN where the file gives no positive number."""
    with np.errstate(invalid="ignore"):
        stated = np.isfinite(sigma) & (sigma > 0.0)
    return Component.independent("retrieval noise", np.where(stated, sigma, np.nan))


def finite(values: np.ndarray) -> np.ndarray:
    """Infinite numbers as missing."""
    return np.where(np.isfinite(values), values, np.nan)


def outline(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """(n, 4, 2) corners of (n, 4) longitudes and latitudes."""
    return finite(np.stack([lon, lat], axis=-1))


def extras(file: NetCDF, names: Sequence[str], dims: Sequence[str]) -> dict[str, np.ndarray]:
    """Further numbers, as far as the file has them; named without their group."""
    return {
        name.rpartition(":")[2]: finite(file.numbers(name, dims)).reshape(-1) for name in names if file.has(name)
    }  # fmt: skip
