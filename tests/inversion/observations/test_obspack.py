"""ObsPack: the two time conventions, units, fills, flags and uncertainties, on real files and on generated ones."""

import shutil
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.obspack import read_obspack
from tests.inversion.observations import fuzz
from transport.errors import TanhengError

FOLDER = "obspack_and_flask"
OLD = "POSIX time. Time-averaged values are reported at the beginning of the averaging interval."
NEW = "POSIX time. Time-averaged values are reported at the midpoint of the averaging interval."


def obspack(
    path, dim="obs", unit="micromol mol-1", fill=-999.999, comment=OLD, start=None, species="co2", **attributes
):
    """Five hours at 12:00…16:00 on 2020-06-01: good, not background, rejected, missing, good."""
    n, scale = 5, {"micromol mol-1": 1.0, "nanomol mol-1": 1e3, "mol mol-1": 1e-6}[unit]
    time = np.datetime64("2020-06-01T12:00", "s").astype(np.int64) + 3600 * np.arange(n)
    values = np.array([410.25, 411.5, 900.0, np.nan, 412.75]) * scale
    unc = np.array([0.1, 0.2, 0.1, 0.1, np.nan]) * scale

    def floats(x, **more):
        return ((dim,), np.where(np.isnan(x), fill, x).astype("f8"), {"_FillValue": fill, **more})

    flags = np.array([list(f.ljust(10, "\0")) for f in ("...", ".C.", "A..", "...", "..P")]).astype("S1")
    data = {
        "time": ((dim,), time.astype("i4"), {"units": "seconds since 1970-01-01T00:00:00Z", "comment": comment}),
        "value": floats(values, units=unit), "value_unc": floats(unc, units=unit, comment="estimated uncertainty"),
        "value_std_dev": floats(np.full(n, 2.5) * scale, units=unit),
        "nvalue": ((dim,), np.array([30, 30, 30, -9, 30], "i4"), {"_FillValue": np.int32(-9)}),
        "latitude": floats(np.full(n, 40.05)), "longitude": floats(np.full(n, -105.004)),
        "altitude": floats(np.full(n, 1684.0)), "elevation": floats(np.full(n, 1584.0)),
        "intake_height": floats(np.full(n, 100.0)),
        "qcflag": ((dim, "string_of_10chars"), flags, {"provider_comment": "Column 1 is the REJECTION flag."}),
    }  # fmt: skip
    if start is not None:
        data["start_time"] = ((dim,), (time + start).astype("i4"), {"units": "seconds since 1970-01-01T00:00:00Z"})
    return fuzz.small(xr.Dataset(data, attrs={
        "site_code": "TST", "dataset_parameter": species, "dataset_project": "tower-insitu",
        "dataset_selection_tag": "all", "dataset_calibration_scale": "WMO CO2 X2019", "dataset_data_frequency": 1,
        "dataset_data_frequency_unit": "hour", "dataset_fair_use": "Ask first.", **attributes,
    }), path)  # fmt: skip


def starts(o):
    return [str(t)[:19] for t in o.start], [str(t)[:19] for t in o.end]


def test_trap_01_old_files_label_the_start_and_new_ones_the_middle(tmp_path):
    old = read_obspack(obspack(tmp_path / "old.nc"))
    assert old.sources[0].stamp == "start"
    assert starts(old)[0][0] == "2020-06-01T12:00:00" and starts(old)[1][0] == "2020-06-01T13:00:00"
    new = read_obspack(obspack(tmp_path / "new.nc", dim="time", comment=NEW, start=-1800))
    assert new.sources[0].stamp == "middle"
    assert starts(new)[0][0] == "2020-06-01T11:30:00" and starts(new)[1][0] == "2020-06-01T12:30:00"


def test_trap_01_without_a_comment_the_age_of_the_file_decides_and_a_note_says_so(tmp_path):
    old, new = (read_obspack(obspack(tmp_path / f"{d}.nc", dim=d, comment="")) for d in ("obs", "time"))
    assert (old.sources[0].stamp, new.sources[0].stamp) == ("start", "middle")
    assert "no comment" in old.sources[0].notes[0] and "no comment" in new.sources[0].notes[0]


def test_trap_01_times_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(TanhengError, match="contradict"):
        read_obspack(obspack(tmp_path / "a.nc", dim="time", comment=NEW, start=0))


@pytest.mark.parametrize("unit", ["micromol mol-1", "nanomol mol-1", "mol mol-1"])
@pytest.mark.parametrize("fill", [-999.999, -1e34, -99.99])
def test_traps_02_and_03_units_and_fills_change_per_product(tmp_path, unit, fill):
    o = read_obspack(obspack(tmp_path / "a.nc", unit=unit, fill=fill))
    np.testing.assert_allclose(o.values, [410.25, 411.5, 412.75], rtol=1e-12)
    np.testing.assert_allclose(o.component("repeatability"), [0.1, 0.2, np.nan], rtol=1e-12)
    np.testing.assert_allclose(o.extra["std_dev"], 2.5, rtol=1e-12)
    assert o.unit == "ppm" and o.steps[0].dropped == (("rejected by its flag", 1), ("missing value", 1))


def test_trap_04_standard_deviations_are_not_uncertainties(tmp_path):
    path = obspack(tmp_path / "a.nc")
    with h5py.File(path, "a") as h:
        h["value_unc"].attrs["comment"] = "This is the standard deviation of the reported mean value."
    o = read_obspack(path)
    assert np.isnan(o.component("repeatability")).all()
    np.testing.assert_allclose(o.extra["std_dev"][:2], [0.1, 0.2])


def test_rows_that_are_not_background_are_kept_and_said(tmp_path):
    o = read_obspack(obspack(tmp_path / "a.nc"))
    assert o.flags.tolist() == ["...", ".C.", "..P"]
    assert "1 rows are valid but not background" in o.sources[0].notes[0]
    assert o.sources[0].attribution == "Ask first."


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"dataset_project": "balloon"}, "platform"),
        ({"species": "sf6"}, "species that is not known"),
        ({"dataset_data_frequency_unit": "fortnight"}, "averaging interval"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, changes, what):
    with pytest.raises(TanhengError, match=what):
        read_obspack(obspack(tmp_path / "a.nc", **changes))


def test_a_wrong_unit_shows_in_the_values(tmp_path):
    path = obspack(tmp_path / "a.nc")
    with h5py.File(path, "a") as h:
        h["value"].attrs["units"] = "nanomol mol-1"
    with pytest.raises(TanhengError, match="cannot be CO2"):
        read_obspack(path)


def test_cabauw_207_m(real):
    o = read_obspack(real(f"{FOLDER}/co2_cbw_tower-insitu_445_allvalid-207magl.nc"))
    # h5py: time[0] = 719847000, start_time[0] = 719845200, value[:3] = 3.60125e-4, 3.61331e-4, 3.61537e-4
    np.testing.assert_allclose(o.values[[0, 1, 2, -1]], [360.125, 361.331, 361.537, 424.282], atol=5e-4)
    assert starts(o)[0][0] == "1992-10-23T13:00:00" and starts(o)[1][0] == "1992-10-23T14:00:00"
    assert starts(o)[0][-1] == "2023-09-12T23:00:00"
    assert len(o) == 198752 and set(o.scales) == {"WMO CO2 X2019"} and set(o.height) == {207.0} == set(o.altitude)
    assert set(o.kinds) == {"tower"} and set(o.flags) == {"O", "U"}
    # h5py, row 187218: LTR 1.6e-8, SMR 2.2e-8, STTB 2e-9, std_dev 6.02e-7, nvalue 29, instrument 1113
    np.testing.assert_allclose([c.sigma[187218] for c in o.components], [0.022, 0.016], rtol=1e-5)
    assert o.components[1].cause == "calibration" and o.components[1].groups[187218] == "1113 2022-01"
    np.testing.assert_allclose([o.extra[k][187218] for k in ("std_dev", "nvalue", "short_term_target_bias")],
                               [0.602, 29, 0.002], rtol=1e-5)  # fmt: skip
    assert "creativecommons" in o.sources[0].attribution and "10.18160/9CQ4-W69K" in o.sources[0].attribution


def test_cabauw_27_m(real):
    o = read_obspack(real(f"{FOLDER}/co2_cbw_tower-insitu_445_allvalid-27magl.nc"))
    np.testing.assert_allclose(o.values[[0, 1, -1]], [379.833, 378.203, 432.535], atol=5e-4)
    assert len(o) == 166814 and starts(o)[0][0] == "2000-03-08T15:00:00" and set(o.height) == {27.0}
    # Two instruments measured 2022-09-09 00:00, where the level 2 series begins.
    both = o.start == np.datetime64("2022-09-09T00:00")
    assert o.instruments[both].tolist() == ["970", "1514"]


def test_boulder_tower_in_the_old_convention(real):
    o = read_obspack(real(f"{FOLDER}/ch4_bao_tower-insitu_1_ccgg_all.nc"))
    # h5py: time[:3] = 1336089600, value 1969.01, 1889.566, 1862.989, value_unc (an SD) 78.326, 32.756, 22.741
    np.testing.assert_allclose(o.values[[0, 1, 2, -1]], [1969.01, 1889.566, 1862.989, 2000.751], atol=1e-3)
    np.testing.assert_allclose(o.extra["std_dev"][[0, 1, 2]], [78.326, 32.756, 22.741], atol=1e-3)
    assert o.height[:3].tolist() == [22.0, 100.0, 300.0] and o.altitude[:3].tolist() == [1606.0, 1684.0, 1884.0]
    assert starts(o)[0][0] == "2012-05-04T00:00:00" and starts(o)[1][0] == "2012-05-04T01:00:00"
    assert len(o) == 4190 and o.unit == "ppb" and o.scale == "WMO CH4 X2004A"
    assert np.isnan(o.sigma).all()


def test_estevan_point_flasks(real):
    o = read_obspack(real(f"{FOLDER}/ch4_esp_surface-flask_2_representative.nc"))
    # h5py: time[0] = 740275950, value 1.76763e-6, 1.792275e-6 … 1.848995e-6; value_std_dev[6] = −99.99, its fill
    np.testing.assert_allclose(o.values[[0, 1, -1]], [1767.63, 1792.275, 1848.995], atol=1e-3)
    np.testing.assert_allclose(o.extra["std_dev"][[0, 6]], [1.668772, np.nan], atol=1e-5)
    assert len(o) == 109 and set(o.kinds) == {"flask"} and (o.start == o.end).all()
    assert starts(o)[0][0] == "1993-06-17T00:12:30" and o.height[0] == 40.0 and o.altitude[0] == 47.0


def test_antarctic_firn_air_is_not_air_of_its_date(real, tmp_path):
    name = "ch4_spf_surface-flask_1_ccgg_Event.nc"
    with pytest.raises(TanhengError, match="no observation is left") as error:
        read_obspack(real(f"{FOLDER}/{name}"))
    assert "firn" in error.value.got and "'rejected by its flag': 13" in error.value.got
    # With intakes above ground the same file is read, which shows the rest of it.
    shutil.copyfile(real(f"{FOLDER}/{name}"), tmp_path / name)
    (tmp_path / name).chmod(0o644)
    with h5py.File(tmp_path / name, "a") as h:
        intake: Any = h["intake_height"]
        intake[...] = 1.0
    o = read_obspack(tmp_path / name)
    np.testing.assert_allclose(o.values[[0, 1, -1]], [1673.89, 1675.51, 1786.21], atol=1e-3)
    np.testing.assert_allclose(o.component("repeatability")[[0, -1]], [2.71, 0.91], atol=1e-6)
    assert len(o) == 397 and o.sources[0].stamp == "instant" and starts(o)[0][0] == "1995-01-28T19:20:00"
    np.testing.assert_allclose([o.lon[0], o.lat[0]], [-24.8, -89.98], atol=1e-5)


def test_a_file_without_unit_or_scale_is_refused(real):
    with pytest.raises(TanhengError, match="not an ObsPack file") as error:
        read_obspack(real(f"{FOLDER}/niwa.nc"))
    assert "declare" in str(error.value.remedy)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("new", [False, True])
def test_fuzz_obspack(tmp_path, count, new):
    (tmp_path / "fuzzed").mkdir()
    form = {"dim": "time", "comment": NEW, "start": -1800} if new else {}
    tally = fuzz.fuzz(read_obspack, obspack(tmp_path / "a.nc", **form), fuzz.HDF, count, tmp_path / "fuzzed")
    assert tally["refused"] > count // 5, tally
    print(tally)
