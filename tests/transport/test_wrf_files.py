"""The WRF reader on small invented files: every projection, both coordinates, and everything that may be wrong."""

import functools

import numpy as np
import pytest
import xarray as xr

from transport.errors import TanhengError
from transport.mass_balance import balance
from transport.readers import wrf

NZ, NY, NX, NT = 5, 4, 6, 3
read_wrf = functools.partial(wrf.read_wrf, rim=0)  # every cell of the invented files counts
R, G = 6.37e6, 9.81
CELL, LAYER = ("south_north", "west_east"), "bottom_top"
FACE_X, FACE_Y = ("south_north", "west_east_stag"), ("south_north_stag", "west_east")


def mercator(true: float = 20.0, centre: float = 179.9, south: float = 10.0):
    """Spherical Mercator across the date line (Snyder 1987, USGS PP 1395, eqs. 7-1 to 7-5), 30 km cells."""
    k = np.cos(np.deg2rad(true))
    x = 3e4 * (np.arange(NX) - (NX - 1) / 2)
    y = R * k * np.arctanh(np.sin(np.deg2rad(south))) + 3e4 * np.arange(NY)
    lat = np.rad2deg(np.arcsin(np.tanh(y / (R * k))))[:, None] * np.ones(NX)
    lon = (centre + np.rad2deg(x / (R * k)) + 180) % 360 - 180
    attributes = {"MAP_PROJ": 3, "TRUELAT1": true, "STAND_LON": centre, "CEN_LON": centre, "DX": 3e4, "DY": 3e4}
    return lon * np.ones((NY, 1)), lat, k / np.cos(np.deg2rad(lat)), attributes


def polar(true: float = 60.0, centre: float = -45.0):
    """Spherical polar stereographic (Snyder 1987, eqs. 21-5 to 21-11), 20 km cells; true < 0: the south pole."""
    sign = np.sign(true)
    k0 = (1 + np.sin(np.deg2rad(abs(true)))) / 2
    x, y = np.meshgrid(4e5 + 2e4 * np.arange(NX), sign * 1e6 + 2e4 * np.arange(NY))
    rho = np.hypot(x, y)
    lat = sign * (90 - np.rad2deg(2 * np.arctan(rho / (2 * R * k0))))
    lon = (centre + np.rad2deg(np.arctan2(x, -sign * y)) + 180) % 360 - 180
    m = (1 + np.sin(np.deg2rad(abs(true)))) / (1 + np.sin(np.deg2rad(np.abs(lat))))
    return lon, lat, m, {"MAP_PROJ": 2, "TRUELAT1": true, "STAND_LON": centre, "DX": 2e4, "DY": 2e4}


def latlon(step: float = 0.25, south: float = 40.0):
    """Plain lat-lon; WRF writes DX as the length of a step at the equator, MAPFAC_MX = 1 / cos φ, MAPFAC_MY = 1."""
    lon, lat = np.meshgrid(179.5 + step * np.arange(NX), south + step * np.arange(NY))
    length = R * np.deg2rad(step)
    attributes = {"MAP_PROJ": 6, "POLE_LAT": 90.0, "POLE_LON": 0.0, "STAND_LON": 0.0, "DX": length, "DY": length}
    return (lon + 180) % 360 - 180, lat, 1 / np.cos(np.deg2rad(lat)), attributes


def _to_faces(cells: np.ndarray, axis: int) -> np.ndarray:
    first, last = np.take(cells, [0], axis), np.take(cells, [-1], axis)
    return 0.5 * (np.concatenate([first, cells], axis) + np.concatenate([cells, last], axis))


def wrf_like(projection=mercator, seed: int = 0) -> xr.Dataset:
    """A small dry-adiabatic-looking σ-coordinate atmosphere in hydrostatic balance, with the names and units of WRF."""
    rng = np.random.default_rng(seed)
    lon, lat, m, attributes = projection()
    znw = np.linspace(1, 0, NZ + 1) ** 1.5
    mub, mu, q = np.full((NY, NX), 9.5e4), 300.0 * rng.standard_normal((NT, NY, NX)), 0.004
    column = mub + mu
    layer = column[:, None] * -np.diff(znw)[:, None, None]
    edges = 5e3 + np.flip(np.cumsum(np.flip(layer, 1), 1), 1) * (1 + q)
    edges = np.concatenate([edges, np.full((NT, 1, NY, NX), 5e3)], axis=1)
    p, temperature = 0.5 * (edges[:, 1:] + edges[:, :-1]), 260.0
    density = p / (287.0 * temperature * (1 + q * 461.6 / 287.0))
    chi = 2 * np.arctanh(-np.diff(edges, axis=1) / (2 * p))  # HYPSOMETRIC_OPT 2
    ground = 9.81 * 250.0
    phi = np.concatenate([np.zeros((NT, 1, NY, NX)), np.cumsum(chi * p / (density * (1 + q)), axis=1)], axis=1) + ground
    my = np.ones_like(m) if attributes["MAP_PROJ"] == 6 else m
    fields = {
        "U": ((LAYER, *FACE_X), "m s-1", 5 + rng.standard_normal((NT, NZ, NY, NX + 1))),
        "V": ((LAYER, *FACE_Y), "m s-1", 2 + rng.standard_normal((NT, NZ, NY + 1, NX))),
        "T": ((LAYER, *CELL), "K", temperature / (p / 1e5) ** (2 / 7) - 300),
        "P": ((LAYER, *CELL), "Pa", p - 5e4),
        "PB": ((LAYER, *CELL), "Pa", np.full_like(p, 5e4)),
        "PH": (("bottom_top_stag", *CELL), "m2 s-2", phi - 1e3),
        "PHB": (("bottom_top_stag", *CELL), "m2 s-2", np.full_like(phi, 1e3)),
        "QVAPOR": ((LAYER, *CELL), "kg kg-1", np.full_like(p, q)),
        "MU": (CELL, "Pa", mu),
        "MUB": (CELL, "Pa", mub * np.ones((NT, 1, 1))),
        "ZNW": (("bottom_top_stag",), "", znw * np.ones((NT, 1))),
        "P_TOP": ((), "Pa", np.full(NT, 5e3)),
        "PBLH": (CELL, "m", np.full_like(mu, 700.0)),
        "UST": (CELL, "m s-1", np.full_like(mu, 0.3)),
        "HFX": (CELL, "W m-2", np.full_like(mu, 90.0)),
        "T2": (CELL, "K", np.full_like(mu, 288.0)),
        "PSFC": (CELL, "Pa", edges[:, 0]),
        "XLAT": (CELL, "degree_north", lat * np.ones((NT, 1, 1))),
        "XLONG": (CELL, "degree_east", lon * np.ones((NT, 1, 1))),
        "MAPFAC_MX": (CELL, "", m * np.ones((NT, 1, 1))),
        "MAPFAC_MY": (CELL, "", my * np.ones((NT, 1, 1))),
        "MAPFAC_UY": (FACE_X, "", _to_faces(my, 1) * np.ones((NT, 1, 1))),
        "MAPFAC_VX": (FACE_Y, "", _to_faces(m, 0) * np.ones((NT, 1, 1))),
    }
    data: dict = {n: (("Time", *d), v.astype("f4"), {"units": u}) for n, (d, u, v) in fields.items()}
    data["Times"] = (("Time",), np.array([f"2024-02-29_{18 + h:02d}:00:00" for h in range(NT)], dtype="S19"))
    numbers = {k: np.int32(v) if isinstance(v, int) else np.float32(v) for k, v in attributes.items()}
    return xr.Dataset(data, attrs={"TITLE": " OUTPUT FROM WRF V4.5.1 MODEL", "HYBRID_OPT": np.int32(0), **numbers})


def write(dataset: xr.Dataset, path, **kind) -> str:
    dataset.to_netcdf(path, **(kind or {"engine": "h5netcdf"}))
    return str(path)


@pytest.mark.parametrize("south", [False, True])
@pytest.mark.parametrize("projection", [mercator, polar, latlon])
def test_projections(tmp_path, projection, south):
    """Cell centres against formulas written here, areas against 1 / m², lengths through the flux."""
    choose = {mercator: {"south": -30.0}, polar: {"true": -71.0}, latlon: {"south": -40.0}}[projection] if south else {}
    dataset = wrf_like(lambda: projection(**choose))
    weather = read_wrf(write(dataset, tmp_path / "wrfout.nc"))
    lon, lat = weather.grid.lonlat(*np.meshgrid(weather.grid.x, weather.grid.y))
    assert np.abs((lon - dataset["XLONG"][0] + 180) % 360 - 180).max() < 1e-4
    assert np.abs(lat - dataset["XLAT"][0]).max() < 1e-4
    mx, my = (dataset[n][0].values.astype(float) for n in ("MAPFAC_MX", "MAPFAC_MY"))
    area = dataset.attrs["DX"].astype(float) * dataset.attrs["DY"] / (mx * my)
    # The lat-lon grid of Tanheng uses a sphere of 6371 km, WRF's has 6370 km.
    np.testing.assert_allclose(weather.grid.areas, area, rtol=4e-4 if projection is latlon else 1e-5)
    column = (dataset["MU"] + dataset["MUB"]).values.astype(float)
    layer = column[:, None] * -np.diff(dataset["ZNW"][0].values.astype(float))[:, None, None] / G
    np.testing.assert_allclose(weather.air, layer * area / 28.9647e-3, rtol=1e-6)
    inner = dataset["U"][..., 1:-1].values * 0.5 * (layer[..., 1:] + layer[..., :-1])
    length = float(dataset.attrs["DY"]) / dataset["MAPFAC_UY"][0].values[:, 1:-1]
    np.testing.assert_allclose(weather.flux_x[..., 1:-1], inner * length / 28.9647e-3, rtol=1e-5)
    inner = dataset["V"][:, :, 1:-1].values * 0.5 * (layer[:, :, 1:] + layer[:, :, :-1])
    length = float(dataset.attrs["DX"]) / dataset["MAPFAC_VX"][0].values[1:-1]
    np.testing.assert_allclose(weather.flux_y[:, :, 1:-1], inner * length / 28.9647e-3, rtol=1e-5)
    assert balance(weather, layers=3).continuity_residual() <= 1e-12


def test_rim_is_left_out(tmp_path):
    path = write(wrf_like(), tmp_path / "wrfout.nc")
    whole, inside = read_wrf(path), wrf.read_wrf(path)
    np.testing.assert_array_equal(inside.grid.x_edges, whole.grid.x_edges[1:-1])
    np.testing.assert_array_equal(inside.grid.y_edges, whole.grid.y_edges[1:-1])
    for name in ("air", "flux_x", "flux_y", "temperature", "pressure_edges", "height_edges"):
        np.testing.assert_array_equal(getattr(inside, name), getattr(whole, name)[..., 1:-1, 1:-1])
    np.testing.assert_array_equal(inside.surface.pressure, whole.surface.pressure[:, 1:-1, 1:-1])
    assert "1 cells on each side are left out" in " ".join(inside.notes)
    for rim in (2, -1):
        with pytest.raises(TanhengError, match="rim leaves no cells"):
            wrf.read_wrf(path, rim=rim)


def test_faces_on_the_rim_take_the_cell_inside(tmp_path):
    dataset = wrf_like()
    weather = read_wrf(write(dataset, tmp_path / "wrfout.nc"))
    mass = weather.air / weather.grid.areas
    length = float(dataset.attrs["DY"]) / dataset["MAPFAC_UY"][0].values
    np.testing.assert_allclose(weather.flux_x[..., 0], (dataset["U"].values * length)[..., 0] * mass[..., 0], rtol=1e-4)
    length = float(dataset.attrs["DX"]) / dataset["MAPFAC_VX"][0].values
    top = (dataset["V"].values * length)[:, :, -1] * mass[:, :, -1]
    np.testing.assert_allclose(weather.flux_y[:, :, -1], top, rtol=1e-4)


def test_sigma_coordinate_closes_to_the_surface_pressure(tmp_path):
    dataset = wrf_like()
    weather = read_wrf(write(dataset, tmp_path / "wrfout.nc"))
    np.testing.assert_allclose(weather.pressure_edges[:, 0], dataset["PSFC"], atol=0.05)
    np.testing.assert_allclose(weather.temperature, 260.0, atol=1e-3)
    assert weather.height_edges[:, 0].max() == 0.0  # the ground lies at 250 m: heights are above it
    assert "σ coordinate" in " ".join(weather.notes)


def test_hybrid_coordinate_uses_both_coefficients(tmp_path):
    dataset = wrf_like()
    plain = read_wrf(write(dataset, tmp_path / "sigma.nc"))
    c1, c2 = np.linspace(1.1, 0.2, NZ).astype("f4"), np.linspace(-9e3, 7e4, NZ).astype("f4")
    dataset["C1H"] = (("Time", LAYER), np.tile(c1, (NT, 1)))
    dataset["C2H"] = (("Time", LAYER), np.tile(c2, (NT, 1)))
    dataset.attrs["HYBRID_OPT"] = np.int32(2)
    weather = read_wrf(write(dataset, tmp_path / "hybrid.nc"))
    column = (dataset["MU"] + dataset["MUB"]).values[:, None].astype(float)
    expected = plain.air * (c1[:, None, None] + c2[:, None, None] / column)
    np.testing.assert_allclose(weather.air, expected, rtol=1e-6)


@pytest.mark.parametrize("lacking", [("MU",), ("ZNW",), ("MUB", "P_TOP"), ("coefficients",)])
def test_mass_from_density_where_the_file_lacks_it(tmp_path, lacking):
    dataset = wrf_like()
    full = read_wrf(write(dataset, tmp_path / "full.nc"))
    if lacking == ("coefficients",):
        dataset.attrs["HYBRID_OPT"] = np.int32(2)  # C1H, C2H missing although the coordinate is hybrid
    else:
        dataset = dataset.drop_vars(lacking)
    weather = read_wrf(write(dataset, tmp_path / "wrfout.nc"))
    np.testing.assert_allclose(weather.air, full.air, rtol=2e-5)
    np.testing.assert_allclose(weather.flux_x, full.flux_x, rtol=2e-5)
    np.testing.assert_allclose(weather.pressure_edges, full.pressure_edges, rtol=1e-4)
    assert "dry density" in " ".join(weather.notes)


def test_netcdf3_many_files_and_a_window(tmp_path):
    dataset = wrf_like()
    whole = read_wrf(write(dataset, tmp_path / "whole.nc"))
    paths = [
        write(dataset.isel(Time=[2]), tmp_path / "c.nc", engine="scipy", format="NETCDF3_64BIT"),
        write(dataset.isel(Time=[0, 1]), tmp_path / "ab.nc", engine="scipy", format="NETCDF3_CLASSIC"),
    ]
    parts = read_wrf(paths)
    np.testing.assert_array_equal(parts.flux_y, whole.flux_y)
    np.testing.assert_array_equal(parts.times, whole.times)
    assert parts.source.endswith("ab.nc and 1 more")
    late = read_wrf(tmp_path / "whole.nc", start="2024-02-29T19:00", end="2024-02-29T20:00:00")
    np.testing.assert_array_equal(late.air, whole.air[1:])


def edited(name: str, **changes):
    def edit(dataset: xr.Dataset) -> xr.Dataset:
        variable = dataset[name].copy(deep=True)
        variable.attrs.update(changes.get("attrs", {}))
        if "values" in changes:
            variable.values = changes["values"](variable.values)
        return dataset.assign({name: variable})

    return edit


def spoil(values: np.ndarray, number: float) -> np.ndarray:
    values[1, ..., 0, 2] = number
    return values


WRONG = {
    "missing field": (lambda d: d.drop_vars("QVAPOR"), "has no QVAPOR"),
    "missing map factor": (lambda d: d.drop_vars("MAPFAC_UY"), "has no MAPFAC_UY or MAPFAC_U"),
    "missing times": (lambda d: d.drop_vars("Times"), "has no Times"),
    "missing attribute": (lambda d: d.drop_attrs().assign_attrs(MAP_PROJ=np.int32(3)), "no global attribute TRUELAT1"),
    "wrong unit": (edited("P", attrs={"units": "hPa"}), "P of wrfout.nc has the wrong unit"),
    "no unit": (edited("HFX", attrs={"units": ""}), "HFX of wrfout.nc has the wrong unit"),
    "NaN": (edited("V", values=lambda v: spoil(v, np.nan)), "V of wrfout.nc has values that are not finite"),
    "fill value": (edited("T", values=lambda v: spoil(v, 9.96921e36)), "T of wrfout.nc has values that are not fin"),
    "destaggered": (
        lambda d: d.assign(U=(("Time", LAYER, *CELL), d["U"].values[..., 1:], d["U"].attrs)),
        "U of wrfout.nc is not on the points",
    ),
    "upside down": (lambda d: d.isel(bottom_top_stag=slice(None, None, -1)), "layers without"),
    "time gap": (
        lambda d: xr.concat([d, d.assign(Times=(("Time",), [b"2024-03-01_01:00:00"] * NT)).isel(Time=[0])], "Time"),
        "gaps in time",
    ),
    "time twice": (lambda d: d.isel(Time=[0, 1, 1, 2]), "occurs twice"),
    "one time": (lambda d: d.isel(Time=[0]), "gaps in time"),
    "no time": (lambda d: d.isel(Time=[]), "no WRF output to read"),
    "bad stamp": (lambda d: d.assign(Times=(("Time",), np.array([b"noon"] * NT))), "Times"),
    "rotated": (lambda d: d.assign_attrs(MAP_PROJ=np.int32(6), POLE_LAT=50.0, POLE_LON=0.0), "lat-lon grid is rotated"),
    "other projection": (lambda d: d.assign_attrs(MAP_PROJ=np.int32(203)), "unknown map projection"),
    "wrong true latitude": (lambda d: d.assign_attrs(TRUELAT1=45.0), "do not follow from its map projection"),
    "wrong spacing": (lambda d: d.assign_attrs(DX=2.9e4), "do not follow from its map projection"),
    "moving nest": (
        edited("XLAT", values=lambda v: v + 0.3 * (np.arange(NT) == 1)[:, None, None]),
        "lies on other cells",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_refused(tmp_path, name):
    edit, message = WRONG[name]
    path = write(edit(wrf_like()), tmp_path / "wrfout.nc")
    with pytest.raises(TanhengError, match=message) as caught:
        read_wrf(path)
    assert caught.value.remedy or caught.value.expected


def test_files_of_two_domains_are_refused(tmp_path):
    first = write(wrf_like().isel(Time=[0, 1]), tmp_path / "d01.nc")
    second = write(wrf_like(polar).isel(Time=[2]), tmp_path / "d02.nc")
    with pytest.raises(TanhengError, match=r"d02.nc at .* lies on other cells"):
        read_wrf([first, second])
    smaller = write(wrf_like().isel(Time=[2], bottom_top=slice(0, 3)), tmp_path / "low.nc")
    with pytest.raises(TanhengError, match=r"low.nc at .* lies on other cells"):
        read_wrf([first, smaller])


@pytest.mark.parametrize("kind", [{"engine": "h5netcdf"}, {"engine": "scipy", "format": "NETCDF3_64BIT"}])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path, kind, share):
    path = tmp_path / "wrfout.nc"
    write(wrf_like(), path, **kind)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(TanhengError, match="cannot read"):
        read_wrf(path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"CDF\x05" + bytes(80), "nccopy"), (b"GRIB", "not a NetCDF"), (b"", "not a NetCDF")]
)
def test_other_formats_are_refused(tmp_path, content, message):
    path = tmp_path / "wrfout.nc"
    path.write_bytes(content)
    with pytest.raises(TanhengError, match=message):
        read_wrf(path)


def test_missing_file_and_window_outside(tmp_path):
    with pytest.raises(TanhengError, match="WRF file not found"):
        read_wrf(tmp_path / "nothing.nc")
    path = write(wrf_like(), tmp_path / "wrfout.nc")
    for start in ("2024-02-28", "2024-02-29T18:30", "yesterday"):
        with pytest.raises(TanhengError, match="start of the window is not an output time"):
            read_wrf(path, start=start)
    with pytest.raises(TanhengError, match="end of the window"):
        read_wrf(path, end="2024-03-05")
