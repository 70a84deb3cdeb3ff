"""OCO-3 snapshot area maps: real cells over Los Angeles and of all cities."""

import csv
import gzip
import io

import h5py
import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.oco3_sam import read_oco3_cells, read_oco3_sam
from tests.inversion.observations.fuzz import HDF, TEXT, fuzz, without_column
from transport.errors import TanhengError

MAPS = "oco3_la_sams/oco3_la_sams_post_qf_nearest.nc"
LINEAR = "oco3_la_sams/oco3_la_sams_post_qf_2km_linear.nc"
CELLS = "oco3_la_sams/oco3_all_sam_cells_pre_qf_nearest.csv.gz"


@pytest.fixture(scope="module")
def table(real):
    return gzip.decompress(real(CELLS).read_bytes()).decode().splitlines()


def test_cells_of_los_angeles(real):
    """First, 5001st and last filled cell and the numbers per day, read off with h5py."""
    o = read_oco3_sam(real(MAPS))
    _, days = np.unique(o.start, return_counts=True)
    assert days.tolist() == [1665, 1893, 868, 1813, 880, 1483, 1528, 1871] and o.vertical is None
    for row, value, raw, sigma, prior, lat, lon in (
        (0, 413.45831, 411.88153, 0.48028529, 414.34857, 33.517155, -117.34565),
        (5000, 412.29779, 410.41565, 0.70307356, 409.35770, 33.942215, -118.0957),
        (12000, 417.41101, 415.68359, 0.44147411, 417.76682, 35.517433, -119.69581),
    ):
        got = [
            o.values[row],
            o.extra["xco2_raw"][row],
            o.sigma[row],
            o.extra["xco2_apriori"][row],
            o.lat[row],
            o.lon[row],
        ]
        np.testing.assert_allclose(got, [value, raw, sigma, prior, lat, lon], rtol=1e-7)
    assert (o.extra["row"][0], o.extra["column"][0]) == (19.0, 120.0)
    assert o.scale == "WMO CO2 X2007" and set(o.flags) == {"0"}


def test_windows_are_whole_days_because_no_time_of_day_is_known(real):
    """Stamps are 08 and 07 UTC, midnight in California of the day of the granule."""
    o = read_oco3_sam(real(MAPS))
    assert str(o.start[0])[:16] == "2020-03-03T00:00" and str(o.end[0])[:16] == "2020-03-04T00:00"
    assert sorted(set(o.groups))[:2] == ["OCO-3 2020-03-03", "OCO-3 2020-05-05"]
    assert any("no time of day" in note for note in o.sources[0].notes)


def test_repeated_soundings_are_told(real):
    o = read_oco3_sam(real(MAPS))
    with h5py.File(real(MAPS)) as h:
        values = np.asarray(h["xco2"])
    different = np.unique(values[np.isfinite(values)]).size
    assert f"12001 cells hold {different} different values" in o.sources[0].notes and different < 8000


def test_maps_before_the_filter_carry_no_flag(real):
    o = read_oco3_sam(real(MAPS.replace("post", "pre")))
    assert (
        len(o) == 13189 and set(o.flags) == {""} and any("before the quality filter" in n for n in o.sources[0].notes)
    )


def test_cells_of_all_cities(real, table):
    """Lines 117 and 130930 of the table (116th and 130929th cell), and the first good one whose maps differ."""
    o = read_oco3_cells(real(CELLS))
    assert len(o) == 87601 and o.steps[0].dropped == (("not of good quality", 43358),)
    rows = list(csv.reader(io.StringIO("\n".join(table))))
    for line in (116, 130929, 152):
        date, lat, lon, xco2, sigma, *_, good, value = rows[line]
        assert good == "1"
        (row,) = np.flatnonzero((o.lat == float(lat)) & (o.lon == float(lon)) & (o.groups == f"OCO-3 {date}"))
        assert o.values[row] == float(value)
        same = abs(float(value) - float(xco2)) < 1e-3
        assert o.sigma[row] == float(sigma) if same else np.isnan(o.sigma[row])
    assert rows[116][8] == "418.187" and rows[130929][8] == "409.201" and rows[152][8] == "418.388"


def _few(table, path):
    """Cells of different values, so that a row is known by its value."""
    by_value = {line.split(",")[8]: line for line in [*table[112:160], *table[60000:60030]]}
    path.write_text("\n".join([table[0], *list(by_value.values())[:26]]) + "\n")
    return path


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.replace("xco2_qf0", "xco2_best", 1), "other columns"),
        (lambda t: t.replace("2022-08-13,", "13.8.2022,", 1), "not a number or date"),
        (lambda t: t.replace("2022-08-13,", "2022-08,", 1), "not a number or date"),
        (lambda t: t.replace("2022-08-13,", "2022-08-13,1,", 1), "another number of fields"),
        (lambda t: t.splitlines()[0], "no observation is left"),
        (lambda t: "", "other columns"),
    ],
)
def test_a_damaged_table_is_refused(table, tmp_path, change, what):
    path = _few(table, tmp_path / "cells.csv")
    path.write_text(change(path.read_text()))
    with pytest.raises(TanhengError, match=what):
        read_oco3_cells(path)


def test_a_damaged_archive_is_refused(table, tmp_path):
    data = gzip.compress(_few(table, tmp_path / "cells.csv").read_bytes())
    whole = tmp_path / "cells.csv.gz"
    whole.write_bytes(data)
    assert len(read_oco3_cells(whole)) == len(read_oco3_cells(tmp_path / "cells.csv"))
    for bad in (data[:-20], data[:40], data[:60] + bytes([data[60] ^ 1]) + data[61:]):
        whole.write_bytes(bad)
        with pytest.raises(TanhengError, match="cannot be read"):
            read_oco3_cells(whole)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_oco3_sam(real, tmp_path, count):
    (tmp_path / "fuzz").mkdir()
    path = tmp_path / "sam.nc"
    with xr.open_dataset(real(LINEAR), engine="h5netcdf", decode_times=False, mask_and_scale=False) as whole:
        part = whole.isel(time=slice(0, 2), latitude=slice(76, 82), longitude=slice(86, 92)).load()
        part.attrs["source"] = "post_qf"
        part.to_netcdf(path, engine="h5netcdf")
    tally = fuzz(read_oco3_sam, path, HDF, count, tmp_path / "fuzz")
    print(tally)
    assert tally["refused"] > 0.3 * count and tally["same"] > 0


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_oco3_cells(table, tmp_path, count):
    (tmp_path / "fuzz").mkdir()
    tally = fuzz(read_oco3_cells, _few(table, tmp_path / "cells.csv"), (*TEXT, without_column(",")), count,
                 tmp_path / "fuzz")  # fmt: skip
    print(tally)
    assert tally["refused"] > 0.3 * count and tally["same"] > 0
