"""A-priori profiles of GGG (`.map` text), and their use for columns whose files hold none."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from inversion.observations.observations import Observations
from inversion.observations.readers.files import lines_of, source_of
from inversion.observations.readers.named_columns import table
from inversion.observations.readers.tccon import pressure_weights
from inversion.observations.record import Source, Step
from inversion.observations.vertical import Vertical
from transport.errors import TanhengError

_MAP_UNITS = {"Height": "km", "Pressure": "hPa", "h2o": "parts", "co2": "ppm", "ch4": "ppb", "gravity": "m_s2"}
# How far a profile may be from a sounding in time: GGG2014 made one a day, for local noon.
_REACH = np.timedelta64(12, "h")


@dataclasses.dataclass(frozen=True, eq=False)
class Profile:
    """An a-priori profile of one place and time, on m levels from the ground up.

    Args:
        source: the file.
        site: two letters of the name of the file, or "".
        time: datetime64[s] for which it holds, UTC; NaT where the name does not tell.
        height: (m,) m above sea level.
        pressure: (m,) Pa, decreasing.
        gravity: (m,) m s-2.
        water: (m,) mole fraction in dry air.
        gases: species to (m,) mole fraction in dry air, in ppm for CO2 and ppb for CH4.
    """

    source: Source
    site: str
    time: np.datetime64
    height: np.ndarray
    pressure: np.ndarray
    gravity: np.ndarray
    water: np.ndarray
    gases: Mapping[str, np.ndarray]


def read_map(path: str | Path, wet: bool | None = None) -> Profile:
    """An a-priori profile of GGG as `.map` text.

    Files of GGG2020 hold wet mole fractions and say so in their header; those of GGG2014 (WRITE_AUX up to version
    1.11) hold dry ones. A header that tells neither is refused. x_dry = x_wet / (1 − q).

    Args:
        path: of a file `SITEyyyymmddhh….map`.
        wet: whether mole fractions are wet; None leaves it to the header.

    Raises:
        TanhengError: not such a file, other units, levels out of order, or a header that does not tell wet from dry.

    Reference: TCCON wiki, pages EM27ProffastSupport and AuxiliaryDataGGG2020 (wet and dry `.map` files).
    """
    path, lines = Path(path), lines_of(path)
    rows = table(path.name, [line.rstrip().rstrip(",") for line in lines], ("Height", "Pressure", "h2o", "gravity"))
    units = dict(zip(rows.names, rows.words[0], strict=True))
    for name, unit in _MAP_UNITS.items():
        if units.get(name) != unit:
            raise TanhengError(
                f"{name} of {path.name} has the wrong unit", got=units.get(name), expected=unit,
                remedy="use a .map file as GGG writes it",
            )  # fmt: skip
    count, stated = next(i for i, line in enumerate(lines) if "Pressure" in line) + 2, lines[0].split()[:1]
    if rows.skipped or stated != [str(count)]:
        raise TanhengError(
            f"lines of {path.name} are missing or damaged", got=f"{count} lines of header, {rows.skipped} cut lines",
            expected=f"{' '.join(stated) or 'a number of'} lines of header, then whole lines", remedy="copy it again",
        )  # fmt: skip
    head = "\n".join(lines[: count - 2])
    wet = _is_wet(path.name, head) if wet is None else wet
    levels = {name: rows.numbers(name)[1:] for name in _MAP_UNITS}
    _check_levels(path.name, levels)
    q = levels["h2o"] if wet else levels["h2o"] / (1.0 + levels["h2o"])
    drying = 1.0 / (1.0 - q) if wet else np.ones_like(q)
    notes = ["mole fractions were " + ("wet and were dried" if wet else "dry already (GGG2014)")]
    # Seen in files of GGG2014: every value of co2 is 0.99 times a number of one decimal. The files do not say why.
    tenths = levels["co2"] / 0.099
    if np.abs(tenths - np.round(tenths)).max() < 0.011:
        notes.append("co2 of the file is 0.99 times round numbers throughout; it is taken as it stands")
    return Profile(
        source_of(path, "ggg_map", "instant", notes=notes), *_site_and_time(path.name),
        levels["Height"] * 1e3, levels["Pressure"] * 1e2, levels["gravity"], q / (1.0 - q),
        {"CO2": levels["co2"] * drying, "CH4": levels["ch4"] * drying},
    )  # fmt: skip


def with_prior(
    observations: Observations, profile: Profile | None, kernel, kernel_name: str, substitute: str = ""
) -> Observations:
    """Columns with an averaging kernel and an a-priori profile that the user names, because their file has none.

    h = `pressure_weights` of the profile's levels above the measured surface pressure, y_a = Σ h x_a.

    Args:
        observations: columns without `vertical`, with extra["surface_pressure"] in Pa.
        profile: of the site and within 12 h of every row.
        kernel: (m,) or (n, m) on the levels of the profile.
        kernel_name: where the kernel comes from, for the record.
        substitute: why a profile of another site or time may be used; "" refuses one.

    Raises:
        TanhengError: no profile, one of another site or time without a reason, a kernel on other levels or that
            cannot be one, columns that have kernels already or no surface pressure.
    """
    n = len(observations)
    _check_use(observations, profile, kernel_name, substitute)
    assert profile is not None
    m = profile.pressure.size
    given = np.asarray(kernel, float)
    if given.shape not in ((m,), (n, m)) or not ((given >= -0.5) & (given < 5.0)).all():
        raise TanhengError(
            "a kernel does not fit the a-priori profile", got=f"shape {given.shape}: {given.ravel()[:3]} …",
            expected=f"({m},) or ({n}, {m}), about 1",
            remedy=f"interpolate the kernel in pressure to the levels of {profile.source.name}",
        )  # fmt: skip
    tiled = [np.tile(a, (n, 1)) for a in (profile.pressure, profile.gravity, profile.water)]
    weights = pressure_weights(tiled[0], tiled[1], tiled[2], observations.extra["surface_pressure"])
    prior = np.tile(profile.gases[observations.species], (n, 1))
    vertical = Vertical(
        tiled[0],
        np.zeros(n, bool),
        weights,
        np.broadcast_to(given, (n, m)).copy(),
        prior,
        (weights * prior).sum(axis=1),
    )
    what = f"kernel: {kernel_name}; a-priori profile: {profile.source.name}"
    what += f", as a substitute: {substitute}" if substitute else ""
    return observations.replace(
        vertical=vertical, sources=(*observations.sources, profile.source), steps=(*observations.steps, Step(what, n))
    )


def _check_use(observations: Observations, profile: Profile | None, kernel_name: str, substitute: str) -> None:
    if profile is None or not kernel_name:
        raise TanhengError(
            "columns cannot be used without kernel and a-priori profile",
            got="no profile" if profile is None else "a kernel without a name", expected="both, by name",
            remedy="get the .map file of the retrieval, or name another one and say why it may stand in (substitute)",
        )  # fmt: skip
    if observations.vertical is not None or profile.gases.get(observations.species) is None:
        raise TanhengError(
            "an a-priori profile cannot be given to these observations",
            got=f"{observations.species}, {'with' if observations.vertical is not None else 'without'} kernels",
            expected=f"columns without kernels of {' or '.join(profile.gases)}", remedy="use the kernels they have",
        )  # fmt: skip
    pressure = observations.extra.get("surface_pressure", np.full(len(observations), np.nan))
    if not ((pressure > 3e4) & (pressure < 1.2e5)).all():
        raise TanhengError(
            "columns do not state the surface pressure", got=f"{pressure[:3]}",
            expected="extra['surface_pressure'] in Pa", remedy="drop the rows without",
        )  # fmt: skip
    away = np.abs(observations.middle - profile.time.astype("datetime64[ns]"))
    wrong = np.isnat(away) | (away > _REACH) | (observations.groups != profile.site)
    if wrong.any() and not substitute:
        row = int(np.flatnonzero(wrong)[0])
        raise TanhengError(
            f"the a-priori profile {profile.source.name} is of another site or time",
            got=f"{int(wrong.sum())} of {wrong.size} rows, first {observations.groups[row]} at "
            f"{observations.start[row].astype('datetime64[s]')}",
            expected=f"{profile.site or 'its site'} within {_REACH.astype(int)} h of {profile.time}",
            remedy="use the profile of that day, or say why this one may stand in (substitute)",
        )  # fmt: skip


def _site_and_time(name: str) -> tuple[str, np.datetime64]:
    """Two letters and the UTC time of a name; noon where it tells the day only."""
    site, known = re.match(r"[A-Za-z]{2}", name), re.search(r"(?<!\d)(\d{4})(\d{2})(\d{2})(\d{2})?(?!\d)", name)
    try:
        time = np.datetime64(f"{known[1]}-{known[2]}-{known[3]}T{known[4] or '12'}", "s") if known else None
    except ValueError:
        time = None
    return site[0] if site else "", np.datetime64("NaT", "s") if time is None else time


def _is_wet(name: str, head: str) -> bool:
    if "WET MOLE FRACTIONS" in head:
        return True
    version = re.search(r"WRITE_AUX\s+Version\s+(\d+)\.(\d+)", head)
    if version and (int(version[1]), int(version[2])) <= (1, 11):
        return False
    raise TanhengError(
        f"{name} does not tell whether its mole fractions are wet or dry", got=" / ".join(head.split("\n")[1:5]),
        expected="WET MOLE FRACTIONS in the header, or WRITE_AUX of at most version 1.11",
        remedy="give wet=True or False",
    )  # fmt: skip


def _check_levels(name: str, levels: dict[str, np.ndarray]) -> None:
    with np.errstate(invalid="ignore"):
        good = {
            "51 levels (GGG2020) or 71 (GGG2014)": len(levels["Height"]) in (51, 71),
            "numbers": all(np.isfinite(v).all() for v in levels.values()),
            "heights that increase in km": (np.diff(levels["Height"]) > 0.0).all() and (levels["Height"] < 200.0).all(),
            "pressures that decrease in hPa": (np.diff(levels["Pressure"]) < 0.0).all()
            and ((levels["Pressure"] > 0.0) & (levels["Pressure"] < 1200.0)).all(),
            "gravity 9.5…9.9 m s-2": (np.abs(levels["gravity"] - 9.7) < 0.2).all(),
            "0 ≤ h2o < 0.1": ((levels["h2o"] >= 0.0) & (levels["h2o"] < 0.1)).all(),
            "co2 250…2000 ppm": ((levels["co2"] > 250.0) & (levels["co2"] < 2000.0)).all(),
            "0 < ch4 < 10000 ppb": ((levels["ch4"] > 0.0) & (levels["ch4"] < 1e4)).all(),
        }  # fmt: skip
    for expected, is_so in good.items():
        if not is_so:
            raise TanhengError(
                f"levels of {name} cannot be meant", got=f"{len(levels['Height'])} levels, not all of them so",
                expected=expected, remedy="use a .map file as GGG writes it",
            )  # fmt: skip
