"""XCH4 of TROPOMI as Open Methane prepares it for its inversions (test_obs_*.nc, converted from its pickled files)."""

from pathlib import Path

import numpy as np

from inversion.observations.component import Component
from inversion.observations.observations import Observations, sift
from inversion.observations.readers.files import NetCDF, seconds_since
from inversion.observations.record import Step
from inversion.observations.vertical import Vertical
from transport.constants import STANDARD_ATMOSPHERE
from transport.errors import TanhengError
from transport.sampling import pressure_weights

LAYERS = 12
_EXTRA = {"surface_albedo": "surface_albedo_SWIR", "aerosol_optical_thickness": "aerosol_aod_SWIR"}
_NOTES = (
    "the file holds no a-priori profile: name a substitute before the kernels are used",
    "the file holds no surface pressure: the twelve layers are equal parts of a standard atmosphere until "
    "operator.on_model_ground puts them on the model's",
    "the file's uncertainty is a constant 20 ppb and says nothing of a sounding: it is not read",
)


def read_open_methane(path: str | Path, qa_minimum: float = 0.5) -> Observations:
    """Bias-corrected XCH4 with twelve-layer kernels, which are stored from the top of the atmosphere down.

    Args:
        path: of the file.
        qa_minimum: smallest quality value that is kept.

    Returns:
        ppb; no error is stated; `extra` has surface_albedo and aerosol_optical_thickness (short-wave infrared) where
        the file has them, and qa_value.

    Raises:
        TanhengError: another format, or no sounding left.
    """
    rows = ("obs",)
    with NetCDF(path) as file:
        values = file.numbers("xch4", rows, {"1e-9": 1.0})
        kernel = file.numbers("column_averaging_kernel", ("obs", "retrieval_layer"))[:, ::-1]
        if kernel.shape[1] != LAYERS:
            raise TanhengError(
                f"kernels of {file.name} have another number of layers", got=kernel.shape[1], expected=LAYERS,
                remedy="use a file of TROPOMI soundings",
            )  # fmt: skip
        times = seconds_since("1970-01-01", _unix(file), file.name)
        lon, lat, qa = (file.numbers(name, rows) for name in ("longitude", "latitude", "qa_value"))
        corners = [file.numbers(f"{name}_corners", ("obs", "corner")) for name in ("longitude", "latitude")]
        optional = {ours: theirs for ours, theirs in _EXTRA.items() if file.has(theirs)}
        extra = {"qa_value": qa} | {ours: file.numbers(theirs, rows) for ours, theirs in optional.items()}
        # A kernel of a short-wave infrared retrieval is near one at the ground and below one aloft.
        sane = np.isfinite(kernel).all(axis=1) & (np.abs(kernel) < 3.0).all(axis=1)
        with np.errstate(invalid="ignore"):
            placed = (np.abs(lon) <= 180.0) & (np.abs(lat) <= 90.0)
            reasons = {
                "without a time or place": np.isnat(times) | ~placed,
                f"quality below {qa_minimum:g}": ~(qa >= qa_minimum),
                "without a value or kernel": ~((values > 1000.0) & (values < 5000.0)) | ~sane,
            }
        keep, dropped = sift(reasons, values.size)
        if not keep.any():
            raise TanhengError(
                "no sounding can be used", got=f"{values.size} soundings, dropped {dict(dropped)}",
                expected="at least one of the asked quality", remedy="lower the smallest quality, or take another day",
            )  # fmt: skip
        if (kernel[keep][:, 0] < kernel[keep][:, -1]).mean() > 0.5:
            raise TanhengError(
                f"kernels of {file.name} grow towards the top", got="a(ground) < a(top) in most soundings",
                expected="layers stored from the top of the atmosphere down", remedy="restore the file's order",
            )  # fmt: skip
        source = file.source("open_methane", "instant", "Contains modified Copernicus Sentinel-5P data", _NOTES)
    n = int(keep.sum())
    edges = np.tile(np.linspace(STANDARD_ATMOSPHERE, 0.0, LAYERS + 1), (n, 1))
    nothing = np.full((n, LAYERS), np.nan)
    columns = Vertical(edges, np.ones(n, bool), pressure_weights(edges), kernel[keep], nothing, np.full(n, np.nan))
    return Observations(
        values=values[keep], start=times[keep], end=times[keep],
        groups=np.char.add("TROPOMI ", times[keep].astype("datetime64[D]").astype(str)), kinds=np.full(n, "column"),
        unit="ppb", species="CH4", components=(Component.independent("retrieval noise", np.full(n, np.nan)),),
        lon=lon[keep], lat=lat[keep], instruments=np.full(n, "TROPOMI"), vertical=columns,
        corners=np.stack(corners, axis=-1)[keep],
        extra={k: v[keep] for k, v in extra.items()}, sources=(source,), steps=(Step("read", n, dropped),),
    )  # fmt: skip


def _unix(file: NetCDF) -> np.ndarray:
    """Seconds since 1970 of the file's own time unit."""
    unit = file.text("units", "", of="time")
    words = unit.split(" since ")
    steps = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0, "microseconds": 1e-6}
    try:
        step, epoch = steps[words[0]], np.datetime64(words[1].strip().replace(" ", "T"), "s")
    except (KeyError, IndexError, ValueError) as error:
        raise TanhengError(
            f"time of {file.name} has an unknown unit", got=repr(unit), expected="seconds since YYYY-MM-DD",
            remedy="use the file as its makers published it",
        ) from error  # fmt: skip
    return file.numbers("time", ("obs",)) * step + (epoch - np.datetime64(0, "s")).astype(float)
