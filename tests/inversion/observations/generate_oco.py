"""Writes files in the form of OCO-2/OCO-3 Lite (v11.2): order, fills, groups and digits as the format is described.

It shares nothing with the reader. Levels, weights and kernel were compared with one sounding of a genuine granule.
"""

from pathlib import Path

import h5netcdf
import numpy as np

FILL = -999999.0
FIRST = np.datetime64("2020-05-27T20:31:05.300", "ms")
# Kernel of the genuine sounding, space to surface, to two digits.
KERNEL = (0.23, 0.35, 0.52, 0.65, 0.75, 0.83, 0.89, 0.94, 0.97, 0.99, 1.01, 1.02, 1.03, 1.03, 1.03, 1.02, 1.02, 1.01,
          0.99, 0.98)  # fmt: skip


def fields(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Numbers of n soundings, space to surface, in the file's units; half of a granule's variables."""
    rng = np.random.default_rng(seed)
    surface = rng.uniform(850.0, 1020.0, n)
    pressure = surface[:, None] * np.maximum(np.arange(20) / 19.0, 1e-4)
    # Dry air between levels, half of it to either: O'Dell et al. 2012, appendix A, for humidity that falls with height.
    humidity = 0.012 * (pressure / 1000.0) ** 3
    air = np.diff(pressure, axis=1) * (1.0 - 0.5 * (humidity[:, 1:] + humidity[:, :-1]))
    weight = np.zeros((n, 20))
    weight[:, :-1] += 0.5 * air
    weight[:, 1:] += 0.5 * air
    weight /= weight.sum(axis=1, keepdims=True)
    prior = 405.0 + 8.0 * (pressure / 1000.0) ** 2 + rng.normal(0.0, 0.5, (n, 1))
    kernel = np.array(KERNEL) + rng.normal(0.0, 0.005, (n, 20))
    times = FIRST + np.arange(n) * np.timedelta64(333, "ms")
    foot = 1 + np.arange(n) % 8
    lat, lon = 34.0 + 0.02 * np.arange(n), -118.0 + 0.01 * foot
    x2007 = 412.0 + rng.normal(0.0, 0.7, n)
    corner = 0.01 * np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
    return {
        "sounding_id": np.array([int(f"{t.strftime('%Y%m%d%H%M%S')}{t.microsecond // 100000}{f}")
                                 for t, f in zip(times.tolist(), foot, strict=True)], np.int64),
        "time": (times - np.datetime64("1970-01-01", "ms")).astype(float) / 1e3,
        "latitude": lat, "longitude": lon,
        "vertex_latitude": lat[:, None] + corner[:, 0], "vertex_longitude": lon[:, None] + corner[:, 1],
        "xco2": x2007, "xco2_x2019": x2007 + 0.18, "xco2_uncertainty": rng.uniform(0.4, 0.9, n),
        "xco2_quality_flag": (np.arange(n) % 4 == 3).astype(np.int8), "xco2_apriori": (weight * prior).sum(axis=1),
        "solar_zenith_angle": rng.uniform(20.0, 40.0, n), "sensor_zenith_angle": rng.uniform(0.0, 40.0, n),
        "pressure_levels": pressure, "pressure_weight": weight, "xco2_averaging_kernel": kernel,
        "co2_profile_apriori": prior,
        "Sounding/orbit": np.full(n, 6123, np.int32), "Sounding/altitude": rng.uniform(0.0, 300.0, n),
        "Sounding/operation_mode": np.full(n, 4, np.int8), "Sounding/footprint": foot.astype(np.int8),
        "Sounding/land_fraction": np.full(n, 100.0), "Sounding/airmass": rng.uniform(2.0, 3.0, n),
        "Retrieval/psurf": pressure[:, -1], "Retrieval/xco2_raw": x2007 - 1.2,
        "Retrieval/surface_type": np.ones(n, np.int8), "Retrieval/aod_total": rng.uniform(0.02, 0.2, n),
    }  # fmt: skip


UNITS = {
    "time": "seconds since 1970-01-01 00:00:00", "latitude": "degrees_north", "longitude": "degrees_east",
    "xco2": "ppm", "xco2_x2019": "ppm", "xco2_uncertainty": "ppm", "xco2_apriori": "ppm",
    "co2_profile_apriori": "ppm", "pressure_levels": "hPa", "pressure_weight": "none",
    "xco2_averaging_kernel": "none", "Sounding/altitude": "m", "Retrieval/psurf": "hPa", "Retrieval/xco2_raw": "ppm",
}  # fmt: skip


def write(path: Path, data: dict[str, np.ndarray], platform: str = "OCO-3") -> Path:
    """A file of these numbers: floats in single precision, times and ids whole."""
    n = len(data["time"])
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"sounding_id": n, "levels": 20, "vertices": 4, "footprints": 8, "bands": 3}
        file.attrs.update(Platform=platform, CollectionLabel="Lite_B11210Ar_r02", title=f"{platform} L2FP Lite Output")
        for name, values in data.items():
            wide = values.dtype.kind != "f" or name == "time"
            inner = {20: ("levels",), 4: ("vertices",)}[values.shape[1]] if values.ndim == 2 else ()
            options = {} if values.dtype.kind != "f" else {"fillvalue": FILL}
            variable = file.create_variable(
                f"/{name}", ("sounding_id", *inner), values.dtype if wide else np.float32, **options
            )
            variable[...] = values
            if values.dtype.kind == "f":
                variable.attrs["missing_value"] = np.array(FILL, values.dtype if wide else np.float32)
            if name in UNITS:
                variable.attrs["units"] = UNITS[name]
    return path
