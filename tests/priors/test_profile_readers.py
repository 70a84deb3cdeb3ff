"""All files here are written by hand after the published layouts; none of the tables is at hand as a real file."""

import functools

import numpy as np
import pytest
import xarray as xr

from priors.clock import Clock
from priors.readers.cams_tempo import read_cams_tempo_grid, read_cams_tempo_tables
from priors.readers.edgar_profiles import read_edgar_profiles
from priors.readers.profile_tables import pick
from priors.readers.times import read_times
from priors.readers.tno_profiles import read_tno_profiles
from tests.priors import fuzz
from transport.errors import TanhengError
from transport.grid import Grid

COUNTS = pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
BERLIN = Grid(np.array([13.0, 13.1, 13.2]), np.array([52.0, 52.1, 52.2]))
# Rows as TNO prints them (GNFR, 2018): power plants and road transport.
TNO_DAYS = "1.06;1.06;1.06;1.06;1.06;0.85;0.85", "1.02;1.06;1.08;1.1;1.14;0.81;0.79"
TNO_HOURS = (
    "0.79;0.72;0.72;0.71;0.74;0.8;0.92;1.08;1.19;1.22;1.21;1.21;1.17;1.15;1.14;1.13;1.1;1.07;1.04;1.02;1.02;1.01;0.96;0.88",
    "0.19;0.09;0.06;0.05;0.09;0.22;0.86;1.84;1.86;1.41;1.24;1.2;1.32;1.44;1.45;1.59;2.03;2.08;1.51;1.06;0.74;0.62;0.61;0.44",
)
SECTORS = "1;A;A_PublicPower", "6;F1;F_RoadTransport_exhaust_gasoline"


def tno(path, labels, rows):
    head = ["# Emission temporal profiles;;;", "#;;;", f";TNO GNFR sectors Sept 2018;GNFR_Category_Name;{labels}"]
    path.write_text("\n".join([*head, *(f"{s};{r}" for s, r in zip(SECTORS, rows, strict=True))]) + "\n", "utf-8")
    return path


def tno_days(tmp_path):
    return tno(tmp_path / "timeprofiles-day-in-week_GNFR.csv", " mon ; tue ; wed ; thu ; fri ; sat ; sun ", TNO_DAYS)


def tno_hours(tmp_path):
    return tno(tmp_path / "hours.csv", ";".join(str(i) for i in range(1, 25)), TNO_HOURS)


def arrays(profiles):
    return {s: p.table * p.months[:, None, None] for s, p in profiles.items()}


def test_tno_by_hand(tmp_path):
    profiles = read_tno_profiles(tno_days(tmp_path), tno_hours(tmp_path))
    assert sorted(profiles) == ["A", "F1"]
    # Friday 17–18 h of cars: 1.14 · 2.03, columns "fri" and "17"; the tables' means are one to all digits.
    assert profiles["F1"].table[5, 4, 16] == pytest.approx(1.14 * 2.03, rel=1e-12)
    # Sum of A over the day is 24.00 too
    assert profiles["A"].table[0, 6, 0] == pytest.approx(0.85 * 0.79, rel=1e-12)
    assert "timeprofiles-day-in-week_GNFR.csv + hours.csv" in profiles["A"].source.name


def test_tno_months_in_their_order(tmp_path):
    months = "1.2;1.15;1.05;1;0.9;0.85;0.8;0.875;0.95;1;1.075;1.15"
    names = " jan ; feb  ; mar ; apr ; may ; jun ; jul ; aug  ; sep ; oct ; nov  ; dec"
    profiles = read_tno_profiles(tno(tmp_path / "m.csv", names, (months, months)))
    np.testing.assert_allclose(profiles["A"].months[[0, 6, 11]], [1.2, 0.8, 1.15], rtol=1e-12)
    swapped = names.replace("jan", "xxx").replace("feb", "jan").replace("xxx", "feb")
    with pytest.raises(TanhengError, match="no table"):
        read_tno_profiles(tno(tmp_path / "s.csv", swapped, (months, months)))


def test_means_off_by_rounding_are_renormalised_and_noted_others_refused(tmp_path):
    near = "1.06;1.06;1.06;1.06;1.06;0.85;0.88", TNO_DAYS[1]  # sum 7.03
    profiles = read_tno_profiles(tno(tmp_path / "a.csv", "mon;tue;wed;thu;fri;sat;sun", near))
    assert profiles["A"].table.mean() == pytest.approx(1.0, abs=1e-14)
    assert any("0.0043" in n for n in profiles["A"].source.notes)
    far = "1.06;1.06;1.06;1.06;1.06;0.85;0.95", TNO_DAYS[1]  # sum 7.10
    with pytest.raises(TanhengError, match="no profile"):
        read_tno_profiles(tno(tmp_path / "b.csv", "mon;tue;wed;thu;fri;sat;sun", far))


@COUNTS
def test_fuzz_tno(tmp_path, count):
    mutations = (*fuzz.TEXT, fuzz.without_column(";"))
    tally = fuzz.fuzz(lambda p: arrays(read_tno_profiles(p)), tno_days(tmp_path), mutations, count, tmp_path / "f")
    assert tally["refused"] > count // 3, tally


# --- CAMS-REG-TEMPO ---------------------------------------------------------------------------------------------------
def cams_table(path, columns, rows):
    text = [",".join(["ISO3", "POLL", "GNFR", *columns]), *(",".join(r) for r in rows)]
    path.write_text("\n".join(text) + "\n", "utf-8")
    return path


def cams_weeks(tmp_path):
    days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    rows = [("DEU", "CO2", "F1", *TNO_DAYS[1].split(";")), ("DEU", "CO2", "A", *TNO_DAYS[0].split(";")),
            ("DEU", "CH4", "A", *["1"] * 7), ("FRA", "CO2", "F1", *["1"] * 7)]  # fmt: skip
    return cams_table(tmp_path / "CAMS_TEMPO_v4_1_simplified_Weekly_Factors.csv", days, rows)


def test_cams_tables_by_hand(tmp_path):
    path = cams_weeks(tmp_path)
    profiles = read_cams_tempo_tables("deu", "co2", path)
    assert sorted(profiles) == ["A", "F1"] and profiles["F1"].table[0, 5, 3] == pytest.approx(0.81, rel=1e-12)
    assert read_cams_tempo_tables("FRA", "CO2", path)["F1"].table.max() == 1.0
    with pytest.raises(TanhengError, match="no profile of CO2 in ITA"):
        read_cams_tempo_tables("ITA", "CO2", path)
    hours = cams_table(tmp_path / "h.csv", [f"H{i}" for i in range(1, 25)], [("DEU", "CO2", "A", *["1"] * 24)])
    with pytest.raises(TanhengError, match="different sectors"):
        read_cams_tempo_tables("DEU", "CO2", path, hours)


@COUNTS
def test_fuzz_cams_tables(tmp_path, count):
    read = functools.partial(read_cams_tempo_tables, "DEU", "CO2")
    mutations = (*fuzz.TEXT, fuzz.without_column(","))
    tally = fuzz.fuzz(lambda p: arrays(read(p)), cams_weeks(tmp_path), mutations, count, tmp_path / "f")
    assert tally["refused"] > count // 3, tally


def cams_grid(tmp_path, name="FW_F", n=7, time=None, lat=None):
    lon, lat = np.arange(12.85, 13.5, 0.1), np.arange(51.85, 52.5, 0.1) if lat is None else lat
    weights = 1 + 0.5 * np.sin(2 * np.pi * np.arange(n) / n)[:, None, None] * np.ones((1, lat.size, lon.size))
    weights[0] += 0.01 * np.arange(lat.size * lon.size).reshape(lat.size, lon.size)
    weights /= weights.mean(axis=0)
    coords = {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
    if time is not None:
        coords["time"] = ("time", np.arange(n), {"units": time})
    data = xr.Dataset({name: (("time", "lat", "lon"), weights, {"units": "1"})}, coords)
    return fuzz.small(data, tmp_path / "CAMS-REG-TEMPO.nc"), weights


@pytest.mark.parametrize("north_first", [False, True])
def test_cams_grid_picks_the_cell_of_each_centre(tmp_path, north_first):
    lat = np.arange(51.85, 52.5, 0.1)
    path, weights = cams_grid(tmp_path, lat=lat[::-1] if north_first else lat)
    gridded = read_cams_tempo_grid(path, "FW_F", BERLIN)
    # Centres 13.05, 13.15 °E and 52.05, 52.15 °N are columns 2, 3 and rows 2, 3 from the south.
    expected = weights[:, ::-1, :][:, 2:4, 2:4] if north_first else weights[:, 2:4, 2:4]
    np.testing.assert_allclose(gridded.weights, expected, rtol=1e-12)
    assert (gridded.unit, gridded.universal) == ("weekday", False)
    with pytest.raises(TanhengError, match="does not cover"):
        read_cams_tempo_grid(path, "FW_F", Grid(np.array([0.0, 1.0]), np.array([52.0, 52.1])))


def test_cams_days_of_a_leap_year(tmp_path):
    path, weights = cams_grid(tmp_path, "FD_C", 366, "days since 2020-01-01")
    gridded = read_cams_tempo_grid(path, "FD_C", BERLIN)
    assert gridded.first == np.datetime64("2020-01-01") and len(gridded.weights) == 366
    hours = np.array(["2020-12-31T05"], "datetime64[s]")
    np.testing.assert_allclose(gridded.at(hours, Clock((0.0,)), True)[0], weights[-1, 2:4, 2:4], rtol=1e-12)
    with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as data:
        data = data.load()
    data["FD_C"] *= 1.005
    near = read_cams_tempo_grid(fuzz.small(data, tmp_path / "near.nc"), "FD_C", BERLIN)
    np.testing.assert_allclose(near.weights.mean(axis=0), 1.0, rtol=1e-12)
    data["FD_C"] *= 1.01
    with pytest.raises(TanhengError, match="366 days of 2020"):
        read_cams_tempo_grid(fuzz.small(data, tmp_path / "far.nc"), "FD_C", BERLIN)
    path, _ = cams_grid(tmp_path, "FD_C", 365, "days since 2020-01-01")
    with pytest.raises(TanhengError, match="365 days of 2020"):
        read_cams_tempo_grid(path, "FD_C", BERLIN)


def test_cells_without_weights_are_constant_and_counted(tmp_path):
    path, _ = cams_grid(tmp_path)
    with xr.open_dataset(path, engine="h5netcdf") as data:
        data = data.load()
    data["FW_F"][:, 2, 2] = 0.0
    gridded = read_cams_tempo_grid(fuzz.small(data, tmp_path / "b.nc"), "FW_F", BERLIN)
    assert (gridded.weights[:, 0, 0] == 1).all() and "1 of 4 cells" in " ".join(gridded.source.notes)


@COUNTS
def test_fuzz_cams_grid(tmp_path, count):
    path, _ = cams_grid(tmp_path, "FD_C", 365, "days since 2019-01-01")

    def read(p):
        g = read_cams_tempo_grid(p, "FD_C", BERLIN)
        return {"weights": g.weights, "first": np.array([str(g.first - 0)]).astype("datetime64[D]").astype(float)}

    tally = fuzz.fuzz(read, path, fuzz.HDF, count, tmp_path / "f")
    assert tally["refused"] > count // 3, tally


# --- EDGAR ------------------------------------------------------------------------------------------------------------
def edgar(tmp_path):
    """Weekly shares of SCG as published; hours of January peak at noon, of other months are even; Friday is weekend."""
    week = (0.143051998, 0.141688014, 0.141688014, 0.143051998, 0.144415982, 0.143051998, 0.143051998)
    lines = ["Country_code_A3,activity_code,Weekday_id,daily_factor"]
    lines += [f"{c},ENE,{d},{w}" for c in ("SCG", "LAO") for d, w in zip((3, 1, 2, 4, 5, 6, 7), (
        week[2], week[0], week[1], *week[3:]), strict=True)]  # fmt: skip
    (tmp_path / "weekly_profiles.csv").write_text("\n".join(lines) + "\n")
    lines = ["Country_code_A3,activity_code,month_id,Daytype_id," + ",".join(f"h{i}" for i in range(1, 25))]
    for month in range(1, 13):
        for kind in (1, 2, 3):
            hours = np.full(24, 1 / 24)
            if month == 1 and kind != 1:
                hours = np.where(np.arange(24) == 12, 0.08 * kind, (1 - 0.08 * kind) / 23)
            lines.append(f"SCG,ENE,{month},{kind}," + ",".join(f"{h:.9f}" for h in hours))
    (tmp_path / "hourly_profiles.csv").write_text("\n".join(lines) + "\n")
    lines = ["Weekend_type_id;Weekday_id;Daytype_id"]
    lines += [f"{w};{d};{k}" for w, kinds in ((1, (1, 1, 1, 1, 1, 2, 3)), (2, (1, 1, 1, 1, 2, 3, 1)))
              for d, k in enumerate(kinds, start=1)]  # fmt: skip
    (tmp_path / "weekdays.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "weekenddays.csv").write_text("Country_code_A3;Country;Weekend_type_id\nSCG;Serbia;2\nLAO;Laos;1\n")
    return [tmp_path / f"{n}.csv" for n in ("weekly_profiles", "hourly_profiles", "weekdays", "weekenddays")]


def test_edgar_by_hand(tmp_path):
    profile = read_edgar_profiles("SCG", *edgar(tmp_path))["ENE"]
    total = 1.000000002  # of the seven shares as printed: 4 × 0.143051998 + 2 × 0.141688014 + 0.144415982 + …
    shares = np.array([0.143051998, 0.141688014, 0.141688014, 0.143051998, 0.144415982, 0.143051998, 0.143051998])
    assert shares.sum() == pytest.approx(total, abs=3e-9)
    # Saturday is the second day of that weekend, type 3, in January: 24 · 0.24 at 12–13 h; Friday 24 · 0.16.
    assert profile.table[0, 5, 12] == pytest.approx(7 * 0.143051998 * 24 * 0.24, rel=1e-8)
    assert profile.table[0, 4, 12] == pytest.approx(7 * 0.144415982 * 24 * 0.16, rel=1e-8)
    assert profile.table[0, 6, 12] == pytest.approx(7 * 0.143051998, rel=1e-8)
    assert profile.table[6, 5, 12] == pytest.approx(7 * 0.143051998, rel=1e-8)
    with pytest.raises(TanhengError, match="has no profile of LAO"):
        read_edgar_profiles("LAO", *edgar(tmp_path))


@COUNTS
@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_fuzz_edgar(tmp_path, count, which):
    files = edgar(tmp_path)

    def read(p):
        return arrays(read_edgar_profiles("SCG", *[p if i == which else f for i, f in enumerate(files)]))

    mutations = (*fuzz.TEXT, fuzz.without_column(";" if which > 1 else ","))
    tally = fuzz.fuzz(read, files[which], mutations, count, tmp_path / "f")
    assert tally["refused"] > count // 4, tally


# --- TIMES ------------------------------------------------------------------------------------------------------------
def times(tmp_path, n=24):
    factors = np.ones((18, 36, n))
    factors[14, 19] += 0.4 * np.sin(2 * np.pi * np.arange(n) / n)  # 50–60°N, 10–20°E
    data = xr.Dataset({"diurnal_scale_factors": (("latitude", "longitude", "time"), factors, {"units": "1"})})
    return fuzz.small(data, tmp_path / "diurnal_scale_factors.nc"), factors


def test_times_by_hand(tmp_path):
    path, factors = times(tmp_path)
    gridded = read_times(path, "diurnal_scale_factors", BERLIN)
    assert (gridded.unit, gridded.universal) == ("hour", True)
    np.testing.assert_allclose(gridded.weights[:, 1, 0], factors[14, 19], rtol=1e-12)
    assert gridded.weights[6, 0, 0] == pytest.approx(1.4, rel=1e-12)  # the seventh value is 6–7 h UTC
    # The corner of the box at 10°E, 50°N: only the cell to the north-east has factors.
    corner = read_times(path, "diurnal_scale_factors", Grid(np.array([9.0, 10.0, 11.0]), np.array([49.0, 50.0, 51.0])))
    np.testing.assert_allclose(corner.weights[6], [[1.0, 1.0], [1.0, 1.4]], rtol=1e-12)
    ocean = read_times(path, "diurnal_scale_factors", Grid(np.array([-40.0, -39.0]), np.array([10.0, 11.0])))
    assert (ocean.weights == 1).all()
    week = read_times(times(tmp_path, 7)[0], "diurnal_scale_factors", BERLIN)
    assert (week.unit, week.universal) == ("weekday", False)


@COUNTS
def test_fuzz_times(tmp_path, count):
    path, _ = times(tmp_path)
    read = lambda p: {"weights": read_times(p, "diurnal_scale_factors", BERLIN).weights}  # noqa: E731
    tally = fuzz.fuzz(read, path, fuzz.HDF, count, tmp_path / "f")
    assert tally["refused"] > count // 3, tally


def test_longitudes_from_zero_to_360_are_picked_too():
    row, column = pick(np.arange(0.5, 360.0), np.arange(-89.5, 90.0), Grid(np.array([-71.0, -70.0, -69.0]),
                                                                         np.array([42.0, 43.0])), "x")  # fmt: skip
    assert row.tolist() == [[132, 132]] and column.tolist() == [[289, 290]]


def test_centres_on_edges_go_to_the_next_cell():
    grid = Grid(np.arange(0.5, 5.0), np.array([0.5, 1.5, 2.5]))  # centres at 1, 2, 3, 4 and 1, 2
    row, column = pick(np.arange(0.5, 5.0), np.array([0.5, 1.5]), grid, "test")
    assert column[0].tolist() == [1, 2, 3, 4] and row[:, 0].tolist() == [1, 1]  # 2 is the last edge
