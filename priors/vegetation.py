"""Classes of vegetation, tables of their parameters, and indices from reflectances with their gaps filled."""

import dataclasses
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import yaml
from scipy.interpolate import PchipInterpolator

from inversion.observations.readers.files import content, source_of
from inversion.observations.record import Source
from transport.errors import TanhengError

if TYPE_CHECKING:
    from priors.biosphere import Parameters

LEAVES = ("full", "threshold", "water")
TABLE = "vprm_classes.yaml"


@dataclasses.dataclass(frozen=True, eq=False)
class Vegetation:
    """Classes and what is not fitted about them.

    Args:
        names: (k,).
        t_min, t_opt, t_max: (k,) temperatures of photosynthesis, °C.
        t_low: (k,) temperature below which respiration falls no further, °C.
        dry: (k,) True where water is scaled between the lowest and highest of the year.
        leaves: (k,) index into `LEAVES`.
        sources: tables that they come from.
    """

    names: tuple[str, ...]
    t_min: np.ndarray
    t_opt: np.ndarray
    t_max: np.ndarray
    t_low: np.ndarray
    dry: np.ndarray
    leaves: np.ndarray
    sources: tuple[Source, ...] = ()

    @classmethod
    def of(cls, *names: str) -> "Vegetation":
        """Classes of the table of Mahadevan et al. 2008 (doi 10.1029/2006GB002735), in this order.

        Raises:
            TanhengError: a class that it has not, or one twice.
        """
        table = resources.files("priors") / "resources" / TABLE
        with resources.as_file(table) as path:
            data, source = yaml.safe_load(path.read_text("utf-8")), source_of(path, "VPRM classes", "start")
        rows = data["classes"]
        if not names or len(set(names)) != len(names) or not set(names) <= set(rows):
            raise TanhengError("unknown class of vegetation", got=", ".join(names),
                               expected=f"some of {', '.join(rows)}",
                               remedy="map the land cover to these classes")  # fmt: skip
        columns = {c: np.array([float(rows[n][c]) for n in names]) for c in ("t_min", "t_opt", "t_max", "t_low")}
        source = dataclasses.replace(source, attribution=data["reference"])
        dry = np.array([rows[n]["water"] == "dry" for n in names])
        return cls(names, **columns, dry=dry, leaves=np.array([LEAVES.index(rows[n]["leaves"]) for n in names]),
                   sources=(source,))  # fmt: skip


def read_parameters(path: str | Path, classes: Vegetation) -> "tuple[Parameters, Source]":
    """Fitted parameters from a YAML table with its reference.

        reference: who fitted them, to what            # required
        classes:
          crop: {lam: …, par0: …, alpha: …, beta: …}   # or the nine of Gourdji et al. 2022 in place of alpha, beta

    Args:
        path: of the table.
        classes: whose parameters are taken.

    Returns:
        Parameters, and the source that an inventory made with them names.

    Raises:
        TanhengError: no such table, no reference, a class or parameter that is missing, strange or not a number; names
            in place of classes.
    """
    from priors.biosphere import GreenRespiration, Light, LinearRespiration, Parameters

    if not isinstance(classes, Vegetation):
        raise TanhengError("parameters are read for classes of vegetation", got=repr(classes), expected="a Vegetation",
                           remedy='build it first, as Vegetation.of("grass", "crop")')  # fmt: skip
    data = _yaml(path)
    reference, rows = data.get("reference"), data.get("classes")
    if not isinstance(reference, str) or len(reference.strip()) < 8:
        raise _wrong(path, f"reference {reference!r}", "who fitted the parameters, to what")
    missing = [n for n in classes.names if not isinstance(rows, Mapping) or not isinstance(rows.get(n), Mapping)]
    if missing or not isinstance(rows, Mapping):
        raise _wrong(path, f"no {', '.join(missing)}", f"classes {', '.join(classes.names)}")
    keys = {frozenset(map(str, rows[n])) for n in classes.names}
    kinds = [r for r in (LinearRespiration, GreenRespiration)
             if keys == {frozenset({*Light.__annotations__, *r.__annotations__})}]  # fmt: skip
    if not kinds:
        raise _wrong(path, "; ".join(", ".join(sorted(k)) for k in keys), "lam, par0, and alpha, beta (or the nine of "
                     "modified respiration), the same in all classes")  # fmt: skip
    values = {
        key: jnp.array([_number(path, rows[n][key], f"{key} of {n}") for n in classes.names])
        for key in next(iter(keys))
    }
    for key in ("lam", "par0"):
        if not (values[key] > 0).all():
            raise _wrong(path, f"{key} {values[key].min():g}", "above zero: the minus sign of uptake is in the model")
    light = Light(*(values[k] for k in Light.__annotations__))
    parameters = Parameters(light, kinds[0](*(values[k] for k in kinds[0].__annotations__)))
    return parameters, source_of(path, "VPRM parameters", "start", reference.strip())


def _wrong(path: str | Path, got: str, expected: str) -> TanhengError:
    return TanhengError(f"{Path(path).name} is no table of VPRM parameters", got=got, expected=expected,
                        remedy="write it as the docstring of read_parameters says")  # fmt: skip


def _yaml(path: str | Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(content(path).decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _wrong(path, " ".join(str(error).split())[:150], "YAML") from error
    if not isinstance(data, Mapping):
        raise _wrong(path, type(data).__name__, "reference and classes")
    return data


def _number(path: str | Path, value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e6:
        raise _wrong(path, f"{what} {value!r}", "a number")
    return float(value)


# --- indices ----------------------------------------------------------------------------------------------------------
def indices(nir, red, blue, shortwave_infrared) -> tuple[np.ndarray, np.ndarray]:
    """Vegetation and water index of reflectances (0…1, any one shape), NaN where a reflectance is missing or cannot be.

    EVI = 2.5 (NIR − R) / (NIR + 6 R − 7.5 B + 1) ≥ 0,   LSWI = (NIR − SWIR) / (NIR + SWIR)

    Args:
        nir, red, blue, shortwave_infrared: surface reflectances, MODIS bands 2, 1, 3 and 6.

    Returns:
        EVI and LSWI.

    Raises:
        TanhengError: bands of unlike shapes; hardly any value is a reflectance: scaled integers, most likely.
    """
    given = [np.asarray(b, dtype=float) for b in (nir, red, blue, shortwave_infrared)]
    shapes = {b.shape for b in given}
    if len(shapes) > 1:
        raise TanhengError("reflectances of bands do not fit", got=", ".join(map(str, shapes)), expected="one shape",
                           remedy="bring all bands onto the same pixels")  # fmt: skip
    bands = np.stack(given)
    good, known = ((bands >= 0) & (bands <= 1.0)).all(axis=0), bands[np.isfinite(bands)]
    if not good.any() or (np.isfinite(bands).all(axis=0).sum() > 2 * good.sum()):
        raise TanhengError("these are no reflectances", got=f"{known.min():.4g}…{known.max():.4g}" if known.size else
                           "none", expected="0…1", remedy="multiply with the scale, 0.0001 for MODIS")  # fmt: skip
    nir, red, blue, swir = np.where(good, bands, np.nan)
    denominator, total = nir + 6.0 * red - 7.5 * blue + 1.0, nir + swir
    evi = 2.5 * (nir - red) / np.where(denominator > 0, denominator, np.nan)
    # Bright blue is cloud or snow, where the quotient runs away.
    evi = np.where(evi <= 1.0, np.maximum(evi, 0.0), np.nan)
    return evi, (nir - swir) / np.where(total > 0, total, np.nan)


def fill(values: np.ndarray, when: np.ndarray, times: np.ndarray, longest: float = 32.0) -> np.ndarray:
    """A series with gaps at other times, by monotone cubic interpolation (PCHIP), which does not overshoot.

    Args:
        values: (n, …) with NaN where missing.
        when: (n,) datetime64, increasing.
        times: (m,) datetime64; beyond the first and last value these are kept.
        longest: longest gap in days, also at the ends.

    Returns:
        (m, …).

    Raises:
        TanhengError: times that do not increase or are none, or a gap that is longer.
    """
    day = np.timedelta64(86_400_000, "ms")
    have = (np.asarray(when).astype("datetime64[ms]") - np.datetime64(0, "ms")) / day
    want = (np.asarray(times).astype("datetime64[ms]") - np.datetime64(0, "ms")) / day
    if have.size == 0 or not (np.diff(have) > 0).all() or want.size == 0 or len(values) != have.size:
        raise TanhengError("times of vegetation indices must increase", got=f"{have.size} times of {len(values)} "
                           f"images, {want.size} wanted", expected="one or more of each, increasing",
                           remedy="sort them, one image per time")  # fmt: skip
    flat = np.asarray(values, dtype=float).reshape(len(have), -1)
    out = np.empty((len(want), flat.shape[1]))
    patterns, which = np.unique(np.isfinite(flat), axis=1, return_inverse=True)
    for i, good in enumerate(patterns.T):
        t, columns = have[good], np.flatnonzero(which.ravel() == i)
        gaps = np.diff(np.concatenate([[min(want.min(), t[0])], t, [max(want.max(), t[-1])]])) if t.size else [np.inf]
        if max(gaps) > longest:
            raise TanhengError(
                "vegetation indices have too long a gap",
                got=f"{max(gaps):.0f} days in {columns.size} of {flat.shape[1]} series",
                expected=f"at most {longest:g} days", remedy="read more images, or allow longer gaps",
            )  # fmt: skip
        part = flat[good][:, columns]
        out[:, columns] = PchipInterpolator(t, part)(np.clip(want, t[0], t[-1])) if t.size > 1 else part
    return out.reshape(len(want), *np.shape(values)[1:])
