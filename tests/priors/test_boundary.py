import dataclasses

import numpy as np
import pytest
import xarray as xr

from priors import boundary as pb
from priors.boundary_fields import Curtains, Field, from_curtains, from_field
from priors.domain import Domain, overlap, relayer, standard_ratio
from priors.readers.cams_inversion import read_cams_concentration
from priors.readers.carbontracker import read_carbontracker_molefractions
from priors.readers.curtains import read_curtains
from priors.readers.global_model import joined
from tests.priors import fuzz
from transport.errors import TanhengError
from transport.grid import Grid

COUNTS = pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
MOZART = "uk_ch4_acrg_tdmcmc/bc/ch4_EUROPE_201402.nc"
CAMS = "uk_ch4_openghg_201901/bc_ch4_europe_cams_2019-01-01_2019-12-31_data.nc"
GRID = Grid(np.array([10.0, 11.0, 12.0, 13.0]), np.array([50.0, 51.0, 52.0]))
HOURS = np.arange("2014-02-03", "2014-02-05", dtype="datetime64[h]")
LEVELS = np.array([0.0, 1000.0, 3000.0, 10000.0])
DOMAIN = Domain.of_heights(GRID, HOURS, LEVELS, 1e5)


# --- layers -----------------------------------------------------------------------------------------------------------
def test_the_standard_atmosphere_is_that_of_the_table():
    # ICAO Doc 7488/3: 898.746 hPa at 1000 m, 540.199 at 5 km, 226.321 at 11 km, 54.7489 at 20 km, 11.9703 at 30 km.
    table = np.array([1013.25, 898.746, 540.199, 226.321, 54.7489])
    np.testing.assert_allclose(1013.25 * standard_ratio(np.array([0.0, 1e3, 5e3, 11e3, 20e3])), table, rtol=2e-3)
    geopotential = np.array([1e3, 5e3])
    np.testing.assert_allclose(1013.25 * standard_ratio(geopotential), [898.746, 540.199], rtol=1e-5)


def test_layers_are_means_by_mass_by_hand():
    values, edges = np.array([4.0, 2.0, 1.0]), np.array([1000.0, 800.0, 500.0, 0.0])
    wanted = np.array([1000.0, 700.0, 0.0])
    # (200·4 + 100·2)/300 and (200·2 + 500·1)/700
    np.testing.assert_allclose(relayer(values, edges, wanted), [10 / 3, 9 / 7], rtol=1e-14)
    # A lower ground takes the lowest layer down, a higher one leaves it out; so at the top.
    np.testing.assert_allclose(relayer(values, edges, np.array([1100.0, 800.0])), [4.0], rtol=1e-14)
    np.testing.assert_allclose(relayer(values, edges, np.array([700.0, 500.0])), [2.0], rtol=1e-14)
    high = relayer(values[:2], edges[:3], np.array([600.0, 100.0]))
    np.testing.assert_allclose(high, [2.0], rtol=1e-14)


def test_the_mass_of_the_gas_is_conserved():
    rng = np.random.default_rng(0)
    values, ground = rng.uniform(1, 3, (5, 12)), rng.uniform(9.5e4, 1.02e5, (5, 1))
    edges = ground * np.linspace(1, 0, 13) ** 1.5
    wanted = ground * np.array([1, 0.9, 0.5, 0.2, 0.0])
    mass = (relayer(values, edges, wanted) * -np.diff(wanted)).sum(axis=1)
    np.testing.assert_allclose(mass, (values * -np.diff(edges)).sum(axis=1), rtol=1e-12)


def test_intervals_take_their_share_of_periods():
    edges = np.array(["2014-02-03T00", "2014-02-03T03", "2014-02-03T06"], "datetime64[s]")
    wanted = np.array(["2014-02-03T01", "2014-02-03T05"], "datetime64[s]")
    np.testing.assert_allclose(overlap(edges, wanted), [[0.5, 0.5]])


# --- constant and tower -----------------------------------------------------------------------------------------------
def test_a_constant_in_any_unit_with_one_shared_error():
    background = pb.constant(DOMAIN, 1900.0, 3.0, "ppb", "CH4", "WMO CH4 X2004A")
    assert float(background.boundary.north[5, 2, 1]) == pytest.approx(1.9, rel=1e-14)
    assert background.boundary.west.shape == (47, 3, 2) and background.boundary.top.shape == (47, 2, 3)
    component = background.components[0]
    assert component.cause == "background" and set(component.groups) == {"constant background"}
    assert component.sigma[0] == pytest.approx(0.003) and background.scale == "WMO CH4 X2004A"
    for value, unit, match in (
        (1900.0, "ppm", "no mole fractions"),
        (1.9, "ug m-3", "no unit"),
        (np.nan, "ppm", "no mole"),
    ):
        with pytest.raises(TanhengError, match=match):
            pb.constant(DOMAIN, value, 0.1, unit, "CH4")
    with pytest.raises(TanhengError, match="species that is not known"):
        pb.constant(DOMAIN, 420.0, 0.1, "ppb", "co2")
    with pytest.raises(TanhengError, match="uncertainty is none"):
        pb.constant(DOMAIN, 420.0, np.inf, "ppm", "CO2")


def series(n=200, seed=3):
    rng = np.random.default_rng(seed)
    x = np.empty(n)
    x[0] = rng.normal()
    for i in range(1, n):
        x[i] = 0.95 * x[i - 1] + np.sqrt(1 - 0.95**2) * rng.normal()
    times = np.datetime64("2014-02-01", "h") + np.arange(n)
    return times, 410.0 + 4.0 * x, np.full(n, 0.1)


def test_a_tower_without_gaps_is_its_hours_and_means_of_them():
    times, values, u = series()
    background = pb.tower(DOMAIN, times, values, u, "ppm", "CO2")
    np.testing.assert_allclose(background.boundary.south[:, 1, 2], values[48:95], rtol=1e-14)
    np.testing.assert_allclose(background.components[0].sigma, 0.1, rtol=1e-12)
    three = Domain.of_heights(GRID, HOURS[::3], LEVELS, 1e5)
    means = pb.tower(three, times, values, u, "ppm", "CO2").boundary.east[:, 0, 0]
    np.testing.assert_allclose(means, values[48:93].reshape(-1, 3).mean(axis=1), rtol=1e-12)


def test_gaps_are_filled_by_the_gaussian_process_of_the_series():
    times, values, u = series()
    lost = values.copy()
    gap = slice(60, 66)
    lost[gap] = np.nan
    background = pb.tower(DOMAIN, times, lost, u, "ppm", "CO2")
    have = np.isfinite(lost)
    x, t = lost[have], times[have]
    m, s = x.mean(), x.std(ddof=1)
    pairs = np.flatnonzero(np.diff(t) == np.timedelta64(1, "h"))
    tau = -1 / np.log(np.corrcoef(x[pairs], x[pairs + 1])[0, 1])
    # All values at once, by the general formula of kriging
    rho = np.exp(-np.abs(t[:, None] - t).astype(float) / tau)
    cross = np.exp(-np.abs(times[gap][:, None] - t).astype(float) / tau)
    weights = np.linalg.solve(rho, cross.T).T
    np.testing.assert_allclose(background.boundary.west[12:18, 0, 0], m + weights @ (x - m), rtol=1e-9)
    variance = s**2 * (1 - np.einsum("ij,ij->i", weights, cross)) + 0.01 * (weights**2).sum(axis=1)
    np.testing.assert_allclose(background.components[0].sigma[12:18] ** 2, variance, rtol=1e-7)
    assert background.components[0].sigma[14] > 5 * background.components[0].sigma[5]
    assert background.steps[0].dropped == (("gaps", 6),)


def mean_u(component, rows):
    """u of the mean of some rows, from the groups alone."""
    part, total = component.take(rows), 0.0
    for group in set(part.groups.tolist()):
        sigma = part.sigma[part.groups == group]
        total += sigma.sum() ** 2 if group else (sigma**2).sum()
    return np.sqrt(total) / part.sigma.size


@pytest.mark.parametrize("gap", [slice(60, 66), slice(60, 84)])
def test_the_mean_over_a_gap_is_not_known_better_than_its_process_says(gap):
    times, values, u = series()
    lost = values.copy()
    lost[gap] = np.nan
    component = pb.tower(DOMAIN, times, lost, u, "ppm", "CO2").components[0]
    have = np.isfinite(lost)
    t, pairs = times[have], np.flatnonzero(np.diff(times[have]) == np.timedelta64(1, "h"))
    s, tau = lost[have].std(ddof=1), -1 / np.log(np.corrcoef(lost[have][pairs], lost[have][pairs + 1])[0, 1])
    rho = [np.exp(-np.abs(a[:, None] - b).astype(float) / tau)
           for a, b in ((t, t), (times[gap], t), (times[gap], times[gap]))]  # fmt: skip
    covariance = s**2 * (rho[2] - rho[1] @ np.linalg.solve(rho[0], rho[1].T))
    true = np.sqrt(covariance.mean())
    stated = mean_u(component, slice(gap.start - 48, gap.stop - 48))
    assert true < stated < 1.5 * true
    assert mean_u(component, slice(0, 12)) == pytest.approx(0.1 / np.sqrt(12))  # errors of their own


def test_an_interval_that_touches_two_gaps_joins_them():
    times, values, u = series()
    lost = values.copy()
    lost[[49, 51, 52, 53, 54, 70]] = np.nan
    three = Domain.of_heights(GRID, HOURS[::3], LEVELS, 1e5)
    groups = pb.tower(three, times, lost, u, "ppm", "CO2").components[0].groups.tolist()
    first, second, third = (f"gap of 2014-02-03T{h}" for h in ("01", "03", "22"))
    assert groups[:3] == [first, second, second] and groups[7] == third and set(groups[3:7]) == {""}
    lost[50] = lost[51] = values[51]
    wide = Domain.of_heights(GRID, np.append(HOURS[0], HOURS[5::3]), LEVELS, 1e5)  # 00–05, 05–08, …
    groups = pb.tower(wide, times, lost, u, "ppm", "CO2").components[0].groups.tolist()
    assert groups[:2] == [first, first]


def test_long_gaps_and_ends_are_refused():
    times, values, u = series()
    with pytest.raises(TanhengError, match="with their uncertainties"):
        pb.tower(DOMAIN, times, values, np.full(200, np.inf), "ppm", "CO2")
    lost = values.copy()
    lost[60:90] = np.nan
    with pytest.raises(TanhengError, match="too long a gap"):
        pb.tower(DOMAIN, times, lost, u, "ppm", "CO2")
    with pytest.raises(TanhengError, match="beyond its ends"):
        pb.tower(DOMAIN, times[:80], values[:80], u[:80], "ppm", "CO2")
    with pytest.raises(TanhengError, match="no mole fractions"):
        pb.tower(DOMAIN, times, values, u, "ppb", "CO2")
    with pytest.raises(TanhengError, match="does not fit"):
        pb.tower(DOMAIN, times[::-1], values, u, "ppm", "CO2")


# --- curtains ---------------------------------------------------------------------------------------------------------
def test_mozart_curtains_of_the_real_file(real):
    curtains = read_curtains(real(MOZART))
    # By xarray: vmr_w(height 500 m, first latitude), vmr_n(10500 m, column 100), ends of the axes
    assert curtains.sides["west"][0, 0, 0] == pytest.approx(2.016787228104982, rel=1e-12)
    assert curtains.sides["north"][0, 10, 100] == pytest.approx(1.9916683679371548, rel=1e-12)
    assert curtains.lon[[0, -1]] == pytest.approx([-97.9, 39.38], abs=1e-4) and curtains.heights[[0, -1]].tolist() == [
        0,
        2e4,
    ]
    assert curtains.times.astype("datetime64[D]").astype(str).tolist() == ["2014-02-01", "2014-03-01"]
    grid = Grid.from_centres(np.round(curtains.lon, 3), np.round(curtains.lat, 3))
    domain = Domain.of_heights(grid, HOURS[:4], np.array([0.0, 1000.0, 2000.0, 4000.0]), 1e5)
    background = from_curtains(domain, curtains, u=0.01)
    np.testing.assert_allclose(background.boundary.west[2, 0], curtains.sides["west"][0, 0], rtol=1e-6)
    np.testing.assert_allclose(background.boundary.north[1, 1], curtains.sides["north"][0, 1], rtol=1e-6)
    # Two layers of a kilometre, 2–3 and 3–4 km: by their air, 794.95 − 701.09 and 701.09 − 616.40 hPa
    two, three = curtains.sides["south"][0, 2], curtains.sides["south"][0, 3]
    expected = (two * (794.95 - 701.09) + three * (701.09 - 616.40)) / (794.95 - 616.40)
    np.testing.assert_allclose(background.boundary.south[0, 2], expected, rtol=1e-6)


def test_curtains_of_cams_hardly_reach_beyond_europe(real):
    curtains = read_curtains(real(CAMS))
    assert np.count_nonzero(np.isnan(curtains.sides["north"])) == 6420  # of 7820
    assert curtains.sides["west"][0, 0, [0, -1]] == pytest.approx([1.9208977779344544, 1.9574379856902723], rel=1e-12)
    assert any("6420 of 7820" in n for n in curtains.sources[0].notes)
    grid = Grid.from_centres(np.round(curtains.lon, 3), np.round(curtains.lat, 3))
    domain = Domain.of_heights(grid, np.array(["2019-01-05", "2019-01-06"], "datetime64[s]"), LEVELS, 1e5)
    with pytest.raises(TanhengError, match="no mole fractions of CH4"):
        from_curtains(domain, curtains)
    # Its eastern and western columns are a degree apart at most, and are bridged.
    east = curtains.sides["east"][0, 0]
    assert np.isnan(east[2:5]).all() and east[1] == east[5]


def test_a_column_that_lacks_some_heights_is_damaged(tmp_path):
    path, data = curtain_file(tmp_path)
    data["vmr_e"][1, 2, 0] = np.nan
    with pytest.raises(TanhengError, match="holds no boundary curtains"):
        read_curtains(fuzz.small(data, path))


def test_missing_columns_are_bridged_where_neighbours_are_near(tmp_path):
    curtains = read_curtains(curtain_file(tmp_path)[0])
    domain = Domain.of_heights(Grid(np.array([10.0, 11.0, 12.0, 13.0]), np.array([50.0, 51.0, 52.0])),
                               np.array(["2014-02-03", "2014-02-04"], "datetime64[s]"), LEVELS[:2], 1e5)  # fmt: skip
    north = curtains.sides["north"].copy()
    north[:, :, 1] = np.nan
    gaps = dataclasses.replace(curtains, sides={**curtains.sides, "north": north})
    got = from_curtains(domain, gaps).boundary.north[0, 0]
    first, last = north[0, 0, 0], north[0, 0, 2]
    expected = [0.75 * first + 0.25 * last, 0.25 * first + 0.75 * last, north[0, 0, 2:].mean()]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    wide = dataclasses.replace(gaps, lon=np.array([8.5, 9.5, 11.5, 13.0]))
    assert from_curtains(domain, wide, farthest_km=200.0).boundary.north.shape == (1, 1, 3)
    with pytest.raises(TanhengError, match="no mole fractions"):
        from_curtains(domain, dataclasses.replace(wide, lon=np.array([8.5, 9.5, 12.0, 13.0])), farthest_km=200.0)


def curtain_file(tmp_path, time_last=False):
    height, lat, lon = np.arange(500.0, 5000, 1000), np.arange(50.0, 53), np.arange(10.0, 14)
    rng = np.random.default_rng(1)
    data = xr.Dataset(
        {f"vmr_{s}": (("time", "height", a), rng.uniform(1.8e-6, 2.1e-6, (2, 5, n)))
         for s, a, n in (("n", "lon", 4), ("s", "lon", 4), ("e", "lat", 3), ("w", "lat", 3))},
        {"time": ("time", [0, 28], {"units": "days since 2014-02-01 00:00:00"}), "height": height, "lat": lat,
         "lon": lon},
        {"species": "ch4", "author": "somebody"},
    )  # fmt: skip
    if time_last:
        data = data.transpose(..., "time")
    return fuzz.small(data, tmp_path / "ch4_TEST.nc"), data


def test_curtains_between_their_places_and_over_months(tmp_path):
    path, data = curtain_file(tmp_path, time_last=True)
    curtains = read_curtains(path)
    domain = Domain.of_heights(Grid(np.array([10.0, 11.5, 13.0]), np.array([50.0, 51.0, 52.0])),
                               np.array(["2014-02-28T12", "2014-03-01T12"], "datetime64[s]"),
                               np.array([0.0, 1000.0, 2000.0]), 9.7e4)  # fmt: skip
    got = from_curtains(domain, curtains).boundary
    w = data["vmr_w"].transpose("time", "height", "lat").values * 1e6
    np.testing.assert_allclose(got.west[0, 1], [w[:, 1, :2].mean(), w[:, 1, 1:].mean()], rtol=1e-12)
    with pytest.raises(TanhengError, match="not where its curtain is"):
        from_curtains(Domain.of_heights(Grid(np.array([5.0, 13.0]), np.array([50.0, 52.0])), domain.times, LEVELS, 1e5),
                         curtains)  # fmt: skip
    with pytest.raises(TanhengError, match="does not cover the time"):
        from_curtains(dataclasses.replace(domain, times=domain.times + np.timedelta64(60, "D")), curtains)


def field_arrays(f: Field):
    return {"values": f.values, "pressure": f.pressure, "lon": f.lon, "lat": f.lat, "times": f.times.astype(float)}


@COUNTS
def test_fuzz_curtains(tmp_path, count):
    def read(path):
        c = read_curtains(path)
        return {**c.sides, "lon": c.lon, "lat": c.lat, "heights": c.heights, "times": c.times.astype(float)}

    tally = fuzz.fuzz(read, curtain_file(tmp_path)[0], (*fuzz.HDF,), count, tmp_path / "f")
    assert tally["refused"] > count // 3, tally


# --- models -----------------------------------------------------------------------------------------------------------
def model(lon=None, nt=4):
    """A field that is linear in longitude and latitude and constant in each layer, over 3-hourly periods."""
    lon, lat = np.arange(0.0, 30.0, 3.0) if lon is None else lon, np.arange(40.0, 62.0, 2.0)
    place = 0.1 * lon + 0.2 * lat[:, None]
    values = 400 + np.array([4.0, 2.0, 1.0])[:, None, None] + place + np.arange(nt)[:, None, None, None]
    pressure = np.array([1e5, 8e4, 5e4, 0.0])[:, None, None] * np.ones((nt, 1, *place.shape))
    times = np.datetime64("2014-02-03T00", "s") + np.arange(nt + 1) * np.timedelta64(3 * 3600, "s")
    return Field("CO2", values, pressure, lon, lat, times)


def test_a_model_field_at_the_sides_by_hand():
    pressure = np.array([1e5, 7e4, 1e4])[:, None, None] * np.ones((1, 2, 3))
    domain = Domain(GRID, np.array(["2014-02-03T01", "2014-02-03T05"], "datetime64[s]"), pressure)
    got = from_field(domain, model(), u=0.5, scale="WMO CO2 X2019")
    base = 400 + 0.5  # half of the first, half of the second period
    lower, upper = (2e4 * 4 + 1e4 * 2) / 3e4, (2e4 * 2 + 4e4 * 1) / 6e4
    np.testing.assert_allclose(
        got.boundary.west[0, :, 0], base + 1.0 + 0.2 * 50.5 + np.array([lower, upper]), rtol=1e-12
    )
    np.testing.assert_allclose(got.boundary.north[0, 0], base + 0.1 * GRID.x + 0.2 * 52 + lower, rtol=1e-12)
    np.testing.assert_allclose(got.boundary.top[0, 1, 2], base + 0.1 * 12.5 + 0.2 * 51.5 + upper, rtol=1e-12)
    assert got.components[0].sigma.tolist() == [0.5] and got.scale == "WMO CO2 X2019"
    moving = Domain(GRID, np.array(["2014-02-03T01", "2014-02-03T05", "2014-02-03T06"], "datetime64[s]"),
                    np.stack([pressure, 0.99 * pressure]))  # fmt: skip
    np.testing.assert_allclose(from_field(moving, model()).boundary.west[0], got.boundary.west[0], rtol=1e-12)


def test_a_global_field_goes_round_and_a_small_one_ends():
    lon = np.arange(0.0, 360.0, 10.0)
    f = model(lon)
    wave = np.cos(np.deg2rad(lon))
    f = dataclasses.replace(f, values=400 + 5 * wave * np.ones_like(f.values))
    grid = Grid(np.array([-6.0, -4.0, -2.0]), np.array([50.0, 51.0]))
    domain = Domain.of_heights(grid, f.times[:2], LEVELS, 1e5)
    west = from_field(domain, f).boundary.west[0, 0, 0]
    assert float(west) == pytest.approx(400 + 5 * (0.6 * wave[-1] + 0.4 * wave[0]), rel=1e-12)
    with pytest.raises(TanhengError, match="does not cover the domain"):
        from_field(domain, model())
    with pytest.raises(TanhengError, match="does not cover the time"):
        from_field(dataclasses.replace(domain, times=domain.times + np.timedelta64(1, "D")), f)


def cams_file(tmp_path, kind="altitude", name="cams73_v23r1_co2_conc_surface_inst_201402.nc", north_first=True):
    lat, lon = np.arange(40.0, 56.0, 5.0), np.arange(0.0, 21.0, 5.0)
    lat = lat[::-1] if north_first else lat
    rng = np.random.default_rng(2)
    values = rng.uniform(390, 420, (2, 3, 4, 5))
    data = xr.Dataset(
        {"CO2": (("time", "level", "latitude", "longitude"), values, {"units": "ppm"})},
        {"time": ("time", [24.0, 27.0], {"units": "hours since 2014-02-01"}), "latitude": lat, "longitude": lon},
    )
    if kind == "altitude":
        z = np.array([100.0, 1100.0, 5100.0, 20100.0])[:, None, None] * np.ones((2, 1, 4, 5))
        data["altitude"] = ("time", "hlevel", "latitude", "longitude"), z, {"units": "m"}
    else:
        n = 4 if kind == "edges" else 3
        a, b = (np.array([0, 1000, 5000, 0.0]), np.array([1, 0.8, 0.4, 0])) if n == 4 else (
            np.array([100.0, 3000, 2000]), np.array([0.9, 0.6, 0.2]))  # fmt: skip
        data["ap"], data["bp"] = (
            ("hlevel" if n == 4 else "level", a, {"units": "Pa"}),
            ("hlevel" if n == 4 else "level", b),
        )
        data["Psurf"] = ("time", "latitude", "longitude"), np.full((2, 4, 5), 9.8e4), {"units": "Pa"}
    return fuzz.small(data, tmp_path / name), values


def test_cams_by_altitude_and_by_pressure(tmp_path):
    path, values = cams_file(tmp_path)
    f = read_cams_concentration(path)
    np.testing.assert_array_equal(f.values[1, 0, 0], values[1, 0, -1])  # from south to north
    assert f.pressure[0, 1, 0, 0] == pytest.approx(101325 * (1 - 6.5e-3 * 1100 / 288.15) ** 5.25588, rel=1e-6)
    assert f.times.astype("datetime64[m]").astype(str).tolist() == [
        "2014-02-01T22:30",
        "2014-02-02T01:30",
        "2014-02-02T04:30",
    ]
    assert "standard atmosphere" in f.sources[0].notes[0]
    f = read_cams_concentration(cams_file(tmp_path, "edges")[0])
    np.testing.assert_allclose(f.pressure[0, :, 0, 0], [98000, 79400, 44200, 0], rtol=1e-12)
    f = read_cams_concentration(cams_file(tmp_path, "levels", north_first=False)[0])
    # Levels at 88300, 61800 and 21600 Pa: edges half-way
    np.testing.assert_allclose(f.pressure[0, :, 0, 0], [98000, 75050, 41700, 0], rtol=1e-12)


def test_cams_months_and_names(tmp_path):
    path, _ = cams_file(tmp_path, name="cams73_v23r1_co2_conc_surface_mm_201402.nc")
    with pytest.raises(TanhengError, match="cannot be used"):  # two times in one month
        read_cams_concentration(path)
    path, _ = cams_file(tmp_path, name="co2.nc")
    with pytest.raises(TanhengError, match="holds no mole fractions"):
        read_cams_concentration(path)


@COUNTS
@pytest.mark.parametrize("kind", ["altitude", "levels"])
def test_fuzz_cams(tmp_path, count, kind):
    path, _ = cams_file(tmp_path, kind)
    tally = fuzz.fuzz(lambda p: field_arrays(read_cams_concentration(p)), path, fuzz.HDF, count, tmp_path / "f")
    assert tally["refused"] > count // 3, tally


def carbontracker_file(tmp_path, day=3):
    lat, lon = np.arange(-88.0, 90, 44.0), np.arange(-178.5, 180, 90.0)
    values = np.random.default_rng(day).uniform(390, 420, (8, 2, 5, 4))
    p = np.array([1.0, 0.6, 0.0])[:, None, None] * np.full((8, 1, 5, 4), 9.9e4)
    data = xr.Dataset(
        {"co2": (("time", "level", "latitude", "longitude"), values, {"units": "micromol mol-1"}),
         "pressure": (("time", "boundary", "latitude", "longitude"), p, {"units": "Pa"})},
        {"time": ("time", day + np.arange(1.5, 24, 3) / 24, {"units": "days since 2014-02-01 00:00:00"}),
         "latitude": lat, "longitude": lon},
    )  # fmt: skip
    return fuzz.small(data, tmp_path / f"CT_{day}.nc"), values


def test_carbontracker_days_follow_each_other(tmp_path):
    path, values = carbontracker_file(tmp_path)
    f = read_carbontracker_molefractions(path)
    np.testing.assert_array_equal(f.values, values)
    assert f.times[[0, -1]].astype("datetime64[h]").astype(str).tolist() == ["2014-02-04T00", "2014-02-05T00"]
    two = joined([read_carbontracker_molefractions(carbontracker_file(tmp_path, 4)[0]), f])
    assert two.values.shape[0] == 16 and len(two.times) == 17
    np.testing.assert_array_equal(two.values[:8], values)
    with pytest.raises(TanhengError, match="do not follow"):
        joined([f, read_carbontracker_molefractions(carbontracker_file(tmp_path, 6)[0])])


@COUNTS
def test_fuzz_carbontracker(tmp_path, count):
    path, _ = carbontracker_file(tmp_path)
    tally = fuzz.fuzz(
        lambda p: field_arrays(read_carbontracker_molefractions(p)), path, fuzz.HDF, count, tmp_path / "f"
    )
    assert tally["refused"] > count // 3, tally


def curtains_of(species="CH4", value=1.9, heights=(0.0, 250.0, 500.0), west=10.0):
    lon, lat, times = west + np.arange(4.0), np.arange(50.0, 53), HOURS[[0, -1]].astype("datetime64[s]")
    nh = len(heights) - 1
    sides = {s: np.full((1, nh, n), value) for s, n in (("west", 3), ("east", 3), ("south", 4), ("north", 4))}
    return Curtains(species, sides, lon, lat, np.array(heights), times)


def test_air_beyond_the_layers_of_the_source_is_stated_and_more_than_half_refused():
    low = Domain.of_heights(GRID, HOURS, np.array([0.0, 500.0, 900.0]), 1e5)
    # 1000, 942.1 and 897.4 hPa × 1e5/101325: 500 to 900 m is 45.5 % of the air
    p = 1e5 * (1 - 6.5e-3 * np.array([500.0, 900.0]) / 288.15) ** 5.25588
    share = 100 * (p[0] - p[1]) / (1e5 - p[1])
    assert f"up to {share:.2g} % of a column's air" in from_curtains(low, curtains_of()).steps[0].what
    assert "up to 0 % of" in from_field(low, model(nt=16)).steps[0].what
    with pytest.raises(TanhengError, match="too little of the air") as error:
        from_curtains(DOMAIN, curtains_of())
    assert "lower top" in error.value.remedy
    f = model(nt=16)
    with pytest.raises(TanhengError, match="too little of the air"):
        from_field(DOMAIN, dataclasses.replace(f, values=f.values[:, :1], pressure=f.pressure[:, :2]))
    above = dataclasses.replace(low, pressure=1.05 * low.pressure)  # and below a higher ground
    assert f"up to {100 * 0.05 / (1.05 * (1 - p[1] / 1e5)):.2g} %" in from_field(above, f).steps[0].what


def test_curtains_are_found_in_another_turn_of_longitude():
    low = Domain.of_heights(GRID, HOURS, np.array([0.0, 400.0]), 1e5)
    background = from_curtains(low, curtains_of(west=370.0))
    np.testing.assert_allclose(background.boundary.north, 1.9, rtol=1e-12)


LAYERS = np.array([1e5, 8e4, 5e4, 0.0])[:, None, None] * np.ones((1, 4, 11, 10))


@pytest.mark.parametrize(("what", "match"), [
    (lambda: Domain(GRID, HOURS, np.array([1e4, 1e5])[:, None, None] * np.ones((2, 2, 3))), "do not fit"),
    (lambda: Domain.of_heights(GRID, HOURS, LEVELS, 1000.0), "not the pressure of air"),
    (lambda: Domain.of_heights(GRID, HOURS, LEVELS / 1e3, 1e5), "heights of the domain"),
    (lambda: Domain.of_heights(GRID, HOURS, LEVELS + 10, 1e5), "heights of the domain"),
    (lambda: Domain.of_heights(GRID, HOURS, LEVELS, np.full(5, 1e5)), "of other cells"),
    (lambda: dataclasses.replace(model(), pressure=LAYERS / 100), "layers in order, ground at"),
    (lambda: dataclasses.replace(model(), pressure=LAYERS[:, ::-1]), "layers not in order"),
    (lambda: dataclasses.replace(model(), pressure=LAYERS[:, :3]), "one edge more"),
    (lambda: dataclasses.replace(model(), pressure=np.where(LAYERS == 8e4, np.nan, LAYERS)), "layers not in order"),
    (lambda: dataclasses.replace(model(), lat=model().lat[::-1]), "increasing"),
    (lambda: dataclasses.replace(model(), lon=np.sort(np.r_[model().lon[:-1], 99.0])), "even steps"),
    (lambda: dataclasses.replace(model(), species="co2"), "not known"),
    (lambda: dataclasses.replace(model(), values=1e3 * model().values), "no mole fractions of CO2"),
    (lambda: curtains_of("ch4", 1900.0), "do not fit each other"),
    (lambda: curtains_of(heights=(0.0, 0.25, 0.5)), "heights of the curtains"),
    (lambda: dataclasses.replace(curtains_of(), lat=np.arange(50.0, 54)), "do not fit each other"),
    (lambda: from_curtains(Domain.of_heights(GRID, HOURS, np.array([0.0, 400.0]), 1e5), curtains_of(), u=np.inf),
     "uncertainty is none"),
])  # fmt: skip
def test_boundaries_that_cannot_be_are_refused(what, match):
    with pytest.raises(TanhengError, match=match) as error:
        what()
    assert error.value.remedy
