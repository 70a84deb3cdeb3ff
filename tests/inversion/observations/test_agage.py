"""AGAGE: archive files (generated) and files of the instruments' software (real)."""

from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.agage import read_agage
from tests.inversion.observations import fuzz
from transport.errors import TanhengError

START = "Time stamp corresponds to beginning of sampling period."
FOLDER = "uk_ch4_acrg_tdmcmc/obs"


def agage(path, label="left", unit="1e-9", comment=START, flagged=True):
    """Four samples of 20 min as in the AGAGE archive, one missing, one rejected where there are flags."""
    fill = {"_FillValue": -9999.0}
    floats = lambda x, **more: (("time",), np.array(x, "f8"), fill | more)  # noqa: E731
    return fuzz.small(xr.Dataset({
        "time": (("time",), 1200 * np.arange(4), {"units": "seconds since 2020-01-01 00:00:00", "label": label,
                                                  "comment": comment}),
        "mf": floats([1900.5, 1901.25, -9999.0, 1950.0], units=unit, calibration_scale="TU-87"),
        "mf_repeatability": floats([2.5, -9999.0, 2.5, 2.5], units=unit),
        "mf_variability": floats([1.0, 2.0, 3.0, 4.0], units=unit),
        "mf_count": (("time",), np.array([1, 1, 1, 1], "i4")),
        "inlet_height": floats([10.0] * 4, units="m"),
        "sampling_period": floats([1200.0] * 4, units="s"),
        "instrument_type": (("time",), np.array([2, 8, 2, 2], "i4")),
        **({"data_flag": (("time",), np.array(["U", "U", "U", "F"], dtype="S1"))} if flagged else {}),
    }, attrs={"species": "ch4", "site_code": "CGO", "inlet_latitude": -40.683, "inlet_longitude": 144.69,
              "inlet_base_elevation_masl": 94.0, "network": "AGAGE"}), path)  # fmt: skip


def test_trap_01_the_label_says_what_times_are(tmp_path):
    left = read_agage(agage(tmp_path / "a.nc"))
    assert [str(left.start[0])[:19], str(left.end[0])[:19]] == ["2020-01-01T00:00:00", "2020-01-01T00:20:00"]
    middle = read_agage(agage(tmp_path / "b.nc", label="centre", comment="Time stamp corresponds to middle."))
    assert str(middle.start[0])[:19] == "2019-12-31T23:50:00" and middle.sources[0].stamp == "middle"
    for label, comment in (("left", "middle of the sampling period"), ("", "")):
        with pytest.raises(TanhengError, match="what its times label"):
            read_agage(agage(tmp_path / "c.nc", label=label, comment=comment))


@pytest.mark.parametrize(("unit", "factor"), [("1e-9", 1.0), ("1e-12", 1e-3), ("mol mol-1", 1e9)])
def test_trap_02_units(tmp_path, unit, factor):
    path = agage(tmp_path / "a.nc", unit=unit)
    with h5py.File(path, "a") as h:
        for name in ("mf", "mf_repeatability", "mf_variability"):
            values = np.asarray(h[name])
            del h[name]
            h.create_dataset(name, data=np.where(values == -9999.0, values, values / factor))
            h[name].attrs.update({"units": unit, "_FillValue": -9999.0})
            new: Any = h[name]
            new.dims[0].attach_scale(h["time"])
    o = read_agage(path)
    np.testing.assert_allclose(o.values, [1900.5, 1901.25], rtol=1e-12)
    np.testing.assert_allclose(o.sigma, [2.5, np.nan], rtol=1e-12)


def test_trap_04_variability_is_not_an_uncertainty(tmp_path):
    o = read_agage(agage(tmp_path / "a.nc"))
    assert [c.cause for c in o.components] == ["repeatability"] and o.extra["std_dev"].tolist() == [1.0, 2.0]
    assert o.steps[0].dropped == (("flagged by its provider (flyer)", 1), ("missing value", 1))
    assert o.instruments.tolist() == ["GCMD", "Picarro"] and set(o.scales) == {"TU-87"}
    assert (o.height[0], o.altitude[0], o.lat[0], o.lon[0]) == (10.0, 104.0, -40.683, 144.69)


def test_flags_of_gcwerks_files(tmp_path):
    path = agage(tmp_path / "AGAGE-GCFID_MHD_20200101_ch4.nc", flagged=False)
    with xr.open_dataset(path, engine="h5netcdf", decode_cf=False) as ds:
        old = ds.load().rename({"mf": "ch4", "mf_repeatability": "ch4_repeatability"})
    old["ch4_integration_flag"] = ("time", np.zeros(4))
    with pytest.raises(TanhengError, match="lacks its status flag"):
        read_agage(fuzz.small(old, path))
    old["ch4_status_flag"] = ("time", np.array([0.0, 1.0, 0.0, 0.0]))
    o = read_agage(fuzz.small(old, path))
    assert o.values.tolist() == [1900.5, 1950.0] and o.sigma.tolist() == [2.5, 2.5]
    assert o.steps[0].dropped == (("flagged by its provider", 1), ("missing value", 1))


def test_mace_head_gas_chromatograph(real):
    o = read_agage(real(f"{FOLDER}/AGAGE-GCFID_MHD_20140201_ch4-20140401.nc"))
    # h5py: time 633830962.5, 633835762.5 … 639013822.5 s since 1994; ch4, ch4_repeatability of these rows
    np.testing.assert_allclose(o.values[[0, 1, -1]], [1900.71, 1902.007, 1932.974], atol=1e-3)
    np.testing.assert_allclose(o.sigma[[0, 1, -1]], [2.35843, 2.35843, 2.57417], atol=1e-5)
    assert str(o.start[0]) == "2014-02-01T00:09:22.500000000" and str(o.end[0]) == "2014-02-01T00:10:37.500000000"
    assert len(o) == 2043 and o.scale == "TU-87" and o.unit == "ppb" and set(o.groups) == {"MHD"}
    assert (o.height[0], o.altitude[0]) == (10.0, 15.0) and set(o.instruments) == {"GCFID"}
    np.testing.assert_allclose([o.lon[0], o.lat[0]], [-9.90389, 53.32611])
    assert "data owner" in o.sources[0].attribution and "approximate" in o.sources[0].notes[0]


def test_mace_head_since_1994(real):
    o = read_agage(real(f"{FOLDER}/AGAGE-GCFID_MHD_19940217_ch4-20210315.nc"))
    np.testing.assert_allclose(o.values[[0, 1, -1]], [1835.782, 1840.115, 2005.562], atol=1e-3)
    assert len(o) == 288950 and str(o.start[0])[:19] == "1994-02-17T20:19:22"


def test_tacolneston_picarro(real):
    o = read_agage(real(f"{FOLDER}/DECC-picarro_TAC_20140201_ch4-185m-20210401.nc"))
    # h5py: time 34216770, 34216830 … 39398130 s since 2013; ch4_variability 1.627, 1.391, 2.3; counts 14, 14, 13
    np.testing.assert_allclose(o.values[[0, 1, -1]], [1945.12, 1944.04, 1969.25], atol=1e-3)
    np.testing.assert_allclose(o.extra["std_dev"][[0, 1, -1]], [1.627, 1.391, 2.3], atol=1e-5)
    assert o.extra["nvalue"][[0, 1, -1]].tolist() == [14, 14, 13] and len(o) == 25120
    assert str(o.start[0])[:19] == "2014-02-01T00:39:30" and str(o.end[0])[:19] == "2014-02-01T00:40:30"
    assert o.scale == "WMO CH4 X2004A" and (o.height[0], o.altitude[0]) == (185.0, 235.0)
    assert np.isnan(o.sigma).all()


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_agage(tmp_path, count):
    (tmp_path / "fuzzed").mkdir()
    # The published archive holds valid data only and has no flags.
    tally = fuzz.fuzz(read_agage, agage(tmp_path / "a.nc", flagged=False), fuzz.HDF, count, tmp_path / "fuzzed")
    assert tally["refused"] > count // 5, tally
    print(tally)
