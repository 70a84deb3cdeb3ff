"""What the level-2 products of Sentinel-5P share: groups, pixels, times, corners."""

from collections.abc import Mapping

import numpy as np

from inversion.observations.readers.files import NetCDF, seconds_since
from inversion.observations.readers.soundings import DEGREES_EAST, DEGREES_NORTH, epoch, outline
from transport.errors import TanhengError

SUPPORT = "PRODUCT/SUPPORT_DATA"
GROUPS = {
    "": "", "product": "PRODUCT", "input": f"{SUPPORT}/INPUT_DATA", "detail": f"{SUPPORT}/DETAILED_RESULTS",
    "geo": f"{SUPPORT}/GEOLOCATIONS",
}  # fmt: skip
PIXEL = ("time", "scanline", "ground_pixel")


def pixels(file: NetCDF, name: str, units: Mapping[str, float] | None = None, last: str = "") -> np.ndarray:
    """(n,) or (n, m) values of all pixels, scanline by scanline.

    Args:
        file: open with `GROUPS`.
        name: with its group, e.g. "product:qa_value".
        units: as in `NetCDF.numbers`.
        last: name of a further dimension.
    """
    values = file.numbers(name, (*PIXEL, last) if last else PIXEL, units)
    return values.reshape(-1, values.shape[-1]) if last else values.reshape(-1)


def place(file: NetCDF) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) longitude and latitude of centres, (n, 4, 2) corners, degrees."""
    lon, lat = pixels(file, "product:longitude", DEGREES_EAST), pixels(file, "product:latitude", DEGREES_NORTH)
    bounds = [pixels(file, f"geo:{name}_bounds", last="corner") for name in ("longitude", "latitude")]
    return lon, lat, outline(*bounds)


def number(file: NetCDF) -> dict[str, np.ndarray]:
    """Original scanline and ground pixel of all pixels."""
    scanline, across = (file.numbers(f"product:{d}", (d,)) for d in PIXEL[1:])
    both = np.meshgrid(scanline, across, indexing="ij")
    return {"scanline": both[0].ravel(), "ground_pixel": both[1].ravel()}


def times(file: NetCDF) -> np.ndarray:
    """(n,) datetime64[ns], UTC: reference day + milliseconds of the scanline.

    Raises:
        TanhengError: several reference times, units that are not these, or two reference days.
    """
    reference = file.numbers("product:time", ("time",))
    if reference.size != 1:
        raise TanhengError(
            f"{file.name} does not hold one orbit", got=f"{reference.size} reference times", expected="1",
            remedy="use the granule as it was published",
        )  # fmt: skip
    day = seconds_since(epoch(file, "product:time", "seconds"), reference, file.name)[0]
    stated = epoch(file, "product:delta_time", "milliseconds")
    if np.datetime64(stated, "ns") != day:
        raise TanhengError(
            f"{file.name} states two reference times", got=f"time: {day}; delta_time: since {stated}",
            expected="one day", remedy="use the granule as it was published",
        )  # fmt: skip
    milliseconds = file.numbers("product:delta_time", PIXEL[:2]).ravel()
    scan = seconds_since(str(day), milliseconds / 1e3, file.name)
    return np.repeat(scan, file.size("ground_pixel", "product"))


def overpass(file: NetCDF) -> str:
    """Name of the orbit, e.g. "TROPOMI orbit 24725"."""
    return f"TROPOMI orbit {file.number('orbit'):05.0f}"


def attribution(file: NetCDF) -> str:
    """What users of Copernicus data have to state."""
    doi = file.text("identifier_product_doi", "")
    version = file.text("processor_version", "unknown")
    return f"Contains Copernicus Sentinel-5P data, processor {version}" + (f", doi {doi}" if doi else "")
