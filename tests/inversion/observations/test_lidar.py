"""IPDA soundings in our CF form and tables of open paths: by hand, left out, damaged."""

import h5py
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from inversion.observations import mismatch
from inversion.observations.readers.lidar import (
    IPDA_FORMAT,
    PATH_COLUMNS,
    ipda_column,
    read_ipda,
    read_paths,
    weighting_function,
)
from tests.inversion.observations.fuzz import HDF, TEXT, fuzz, levels_turned, small, without_column
from transport.errors import TanhengError

EDGES = np.array([1.0e5, 9.0e4, 7.5e4, 5.0e4, 2.0e4, 100.0])
PROFILE = np.array([430.0, 420.0, 415.0, 412.0, 408.0])


def soundings(path, two_way=True, **changes):
    """Four soundings of two orbits whose optical depth follows from PROFILE."""
    n = 4
    sigma = np.array([7.0e-27, 6.5e-27, 6.0e-27, 5.0e-27, 4.0e-27])  # m2, of the order of 1572.02 nm
    wf = weighting_function(sigma, np.array([0.012, 0.008, 0.004, 5e-4, 5e-6]), 9.8)
    dp = -np.diff(EDGES)
    way = 2.0 if two_way else 1.0
    daod = way * np.sum(wf * dp * PROFILE) * 1e-6 * np.linspace(1.0, 1.003, n)
    one, layers = ("sounding",), ("sounding", "layer")
    data = {
        "time": (one, 1.65e9 + 0.1 * np.arange(n), {"units": "seconds since 1970-01-01"}),
        "latitude": (one, 30.0 + np.arange(n) / 10, {"units": "degrees_north"}),
        "longitude": (one, 110.0 + np.arange(n) / 100, {"units": "degrees_east"}),
        "surface_altitude": (one, np.full(n, 120.0), {"units": "m"}),
        "daod": (one, daod, {"units": "1", "path": "two-way" if two_way else "one-way"}),
        "column": (one, daod / (way * np.sum(wf * dp)) * 1e6, {"units": "1e-6"}),
        "column_noise": (one, np.array([0.9, 0.8, 1.0, 1.1]), {"units": "1e-6"}),
        "column_bias": (one, np.full(n, 0.4), {"units": "1e-6"}),
        "quality_flag": (one, np.zeros(n, np.int8)),
        "integrated_weighting_function": (one, np.full(n, np.sum(wf * dp)), {"units": "1"}),
        "pressure_edge": (("sounding", "edge"), np.tile(EDGES, (n, 1)), {"units": "Pa"}),
        "weighting_function": (layers, np.tile(wf, (n, 1)), {"units": "Pa-1"}),
        "orbit": (one, np.array(["0101", "0101", "0102", "0102"], dtype=object)),
    }
    for name, values in changes.items():
        data[name] = (data[name][0], values, *data[name][2:])
    about = {
        "format": IPDA_FORMAT, "species": "CO2", "instrument": "ACDL", "calibration_scale": "",
        "Conventions": "CF-1.11",
    }  # fmt: skip
    return small(xr.Dataset(data, attrs=about), path)


def test_weighting_function_by_hand():
    # 7e-27 m2 · 6.02214076e23 / (9.8 · (0.0289647 + 0.018015 · 0.012)) = 0.00421549853 / 0.28597262...
    assert weighting_function(np.array(7e-27), np.array(0.012), np.array(9.8)) == pytest.approx(
        0.004215498532 / 0.285972624, rel=1e-8
    )


def test_column_by_hand():
    # two layers: WF 1.0e-2 and 2.0e-2 Pa-1, Δp 100 and 50 Pa: ∫ WF dp = 2; there and back 4, one way 2
    wf, dp = np.array([[1.0e-2, 2.0e-2]]), np.array([[100.0, 50.0]])
    assert ipda_column(np.array([1.6e-3]), wf, dp, two_way=True)[0] == pytest.approx(4.0e-4, rel=1e-15)
    assert ipda_column(np.array([1.6e-3]), wf, dp, two_way=False)[0] == pytest.approx(8.0e-4, rel=1e-15)


@pytest.mark.parametrize("two_way", [True, False])
def test_soundings_are_columns_without_prior(tmp_path, two_way):
    o = read_ipda(soundings(tmp_path / "a.nc", two_way))
    v = o.vertical
    assert v.layered.all() and v.pressure[0].tolist() == EDGES.tolist() and (v.kernel == 1.0).all()
    assert (v.prior == 0.0).all() and (v.prior_value == 0.0).all()
    model = v.prior_value[0] + (v.weights[0] * v.kernel[0] * (PROFILE - v.prior[0])).sum()
    assert model == pytest.approx(o.values[0], rel=1e-12)  # the optical depth was made of PROFILE
    np.testing.assert_allclose(v.weights.sum(axis=1), 1.0, rtol=1e-14)
    # Weights by hand: WF ∝ σ/(M_air + M_H2O ρ), times thickness.
    part = np.array([
        7.0 * 10e3 / (28.9647 + 18.015 * 0.012), 6.5 * 15e3 / (28.9647 + 18.015 * 0.008),
        6.0 * 25e3 / (28.9647 + 18.015 * 0.004), 5.0 * 30e3 / (28.9647 + 18.015 * 5e-4),
        4.0 * 19.9e3 / (28.9647 + 18.015 * 5e-6),
    ])  # fmt: skip
    np.testing.assert_allclose(v.weights[0], part / part.sum(), rtol=1e-12)
    assert "no a-priori term" in o.sources[0].notes[0] and o.groups.tolist() == ["0101", "0101", "0102", "0102"]


def test_bias_is_shared_by_an_orbit_and_noise_is_not(tmp_path):
    o = read_ipda(soundings(tmp_path / "a.nc"))
    R = np.diag([0.81, 0.64, 1.0, 1.21])
    R[:2, :2] += 0.16
    R[2:, 2:] += 0.16
    np.testing.assert_allclose(mismatch.covariance(o).mv(jnp.eye(4)), R, rtol=1e-12)
    assert [c.cause for c in o.components] == ["retrieval noise", "retrieval bias"]


def test_one_way_taken_for_two_way_is_noticed(tmp_path):
    path = soundings(tmp_path / "a.nc")
    with h5py.File(path, "a") as f:
        f["daod"].attrs["path"] = "one-way"
    with pytest.raises(TanhengError, match="column does not follow from its optical depth': 4"):
        read_ipda(path)


def test_soundings_are_left_out_with_a_reason(tmp_path):
    o = read_ipda(
        soundings(
            tmp_path / "a.nc", quality_flag=np.array([0, 1, 0, 0], np.int8), column_noise=np.array([1, 1, 0, 1.0])
        )
    )
    assert o.steps[0].dropped == (("quality flag not 0", 1), ("noise or bias not positive", 1)) and len(o) == 2
    with pytest.raises(TanhengError, match="pressures not from the ground up': 4"):
        read_ipda(soundings(tmp_path / "b.nc", pressure_edge=np.tile(EDGES[::-1], (4, 1))))


PATHS = """name,x0,y0,z0,x1,y1,z1,from,to,c,unit,u,ucal,device,scale
1,11.5,48.1,20,11.52,48.11,25.5,2021-03-29T07:00:00,2021-03-29T07:15:00,1.95,ppm,0.004,0.002,OP1,WMO CH4 X2004A
2,11.5,48.1,20,11.52,48.11,25.5,2021-03-29T09:15:00+02:00,2021-03-29T09:30:00+02:00,1960.5,ppb,4.5,2.5,OP1,X
3,11.5,48.1,20,11.48,48.12,30.5,2021-03-29T07:15:00Z,2021-03-29T07:30:00Z,1.97e-6,mol mol-1,,2e-9,OP2,WMO CH4 X2004A
"""
OURS = dict(zip(
    ("start_lon", "start_lat", "start_height", "end_lon", "end_lat", "end_height", "start_time", "end_time", "value",
     "unit", "u_repeatability", "u_calibration", "instrument", "scale"),
    PATHS.split("\n")[0].split(",")[1:], strict=True,
))  # fmt: skip


def paths(path, text=PATHS):
    path.write_text(text)
    return path


def test_paths_by_hand(tmp_path):
    o = read_paths(paths(tmp_path / "p.csv"), "CH4", OURS)
    assert set(o.kinds) == {"path"} and o.unit == "ppb" and o.vertical is None
    np.testing.assert_allclose(o.values, [1950.0, 1960.5, 1970.0], rtol=1e-12)
    assert [str(t)[11:19] for t in o.start] == ["07:00:00", "07:15:00", "07:15:00"]
    assert [str(t)[11:19] for t in o.end] == ["07:15:00", "07:30:00", "07:30:00"]
    assert (o.lon[0], o.lat[0], o.height[0]) == (11.5, 48.1, 20.0)
    np.testing.assert_array_equal(o.ends, [[11.52, 48.11, 25.5], [11.52, 48.11, 25.5], [11.48, 48.12, 30.5]])
    np.testing.assert_allclose(o.component("calibration"), [2.0, 2.5, 2.0], rtol=1e-12)
    np.testing.assert_allclose(o.component("repeatability"), [4.0, 4.5, np.nan], rtol=1e-12)
    assert o.components[1].groups.tolist() == ["OP1", "OP1", "OP2"] and o.scales[1] == "X"


def test_undeclared_and_missing_columns_are_refused(tmp_path):
    path = paths(tmp_path / "p.csv")
    with pytest.raises(TanhengError, match="no line of column names"):
        read_paths(path, "CH4")
    for columns in ({k: v for k, v in OURS.items() if k != "unit"}, {**OURS, "height": "z0"}):
        with pytest.raises(TanhengError, match="not declared"):
            read_paths(path, "CH4", columns)
    few = {k: v for k, v in OURS.items() if not k.startswith("u_")}
    assert read_paths(path, "CH4", few).components == ()
    with pytest.raises(TanhengError, match="unit that is not known"):
        read_paths(paths(path, PATHS.replace(",ppm,", ",ppm m,")), "CH4", OURS)


def test_paths_are_left_out_with_a_reason(tmp_path):
    rows = PATHS.split("\n")
    text = "\n".join([
        *rows[:2], rows[1], rows[2].replace("1960.5", "none"), rows[3].replace("11.48,48.12,30.5", "11.5,48.1,20"),
        rows[3].replace("07:30:00Z", "07:00:00Z"), rows[3].replace("48.12", "148.12"), "cut,line",
    ])  # fmt: skip
    o = read_paths(paths(tmp_path / "p.csv", text), "CH4", OURS)
    assert len(o) == 1 and o.steps[0].before == 7 and dict(o.steps[0].dropped) == {
        "line without 15 words": 1, "value is no number": 1, "ends before it starts": 1, "path without length": 1,
        "an end of the path is not on Earth": 1, "the same path twice": 1,
    }  # fmt: skip


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_ipda(tmp_path, count):
    (tmp_path / "in").mkdir()
    turned = levels_turned("pressure_edge", "weighting_function")
    tally = fuzz(read_ipda, soundings(tmp_path / "in" / "a.nc"), (*HDF, turned), count, tmp_path)
    print(tally)
    assert tally["refused"] > count / 4 and tally["same"] > 0


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_paths(tmp_path, count):
    (tmp_path / "in").mkdir()
    text = "\n".join([",".join(PATH_COLUMNS), *(row.partition(",")[2] for row in PATHS.split("\n")[1:] if row)]) + "\n"
    original = paths(tmp_path / "in" / "p.csv", text)
    tally = fuzz(lambda p: read_paths(p, "CH4"), original, (*TEXT, without_column(",")), count, tmp_path)
    print(tally)
    assert tally["refused"] > count / 8 and tally["same"] > 0
