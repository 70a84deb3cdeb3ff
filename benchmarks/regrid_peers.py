"""One regridding by a peer in its own environment: `regrid_peers.py <peer> <problem.npz> <answer.npz>`."""

import json
import resource
import sys
import time

import numpy as np


def exactextract(problem):
    """Sum of a raster of mass over the polygons of a city's cells, by covered fraction in degrees."""
    import pyproj
    from exactextract import exact_extract
    from exactextract.feature import JSONFeatureSource
    from exactextract.raster import NumPyRasterSource

    mass, x, y = problem["mass"], problem["x"], problem["y"]
    start = time.perf_counter()
    source = NumPyRasterSource(mass[::-1], xmin=-180.0, ymin=-90.0, xmax=180.0, ymax=90.0)
    to_degrees = pyproj.Transformer.from_crs(str(problem["crs"]), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*np.meshgrid(x, y))
    corners = np.stack([lon, lat], axis=-1)
    rings = np.stack(
        [corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1], corners[:-1, :-1]], axis=2
    )
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring.tolist()]}}
        for ring in rings.reshape(-1, 5, 2)
    ]
    found = exact_extract(source, JSONFeatureSource(features), "sum")
    sums = np.array([f["properties"]["sum"] or 0.0 for f in found])
    return time.perf_counter() - start, sums.reshape(y.size - 1, x.size - 1)


def xarray_regrid(problem):
    """Conservative mean of a flux on coarser longitudes and latitudes."""
    import xarray as xr
    import xarray_regrid  # noqa: F401

    centres = lambda e: 0.5 * (e[1:] + e[:-1])  # noqa: E731
    fine = [np.linspace(a, b, n + 1) for a, b, n in ((-90.0, 90.0, problem["mass"].shape[0]),
                                                     (-180.0, 180.0, problem["mass"].shape[1]))]  # fmt: skip
    flux = xr.DataArray(problem["mass"] / problem["areas"], dims=("latitude", "longitude"),
                        coords={"latitude": centres(fine[0]), "longitude": centres(fine[1])})  # fmt: skip
    target = xr.Dataset(coords={"latitude": centres(problem["y"]), "longitude": centres(problem["x"])})
    start = time.perf_counter()
    got = flux.regrid.conservative(target, latitude_coord="latitude").transpose("latitude", "longitude").values
    return time.perf_counter() - start, got


if __name__ == "__main__":
    peer, file, answer = sys.argv[1:]
    with np.load(file) as held:
        seconds, values = {"exactextract": exactextract, "xarray-regrid": xarray_regrid}[peer](dict(held))
    np.savez(answer, values=values)
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
