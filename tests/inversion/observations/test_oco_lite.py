"""OCO-2/OCO-3 Lite: generated files, the levels of one genuine sounding, damage."""

import h5py
import numpy as np
import pytest

from inversion.observations.readers.oco_lite import read_oco_lite
from tests.inversion.observations.by_hand import column, linear
from tests.inversion.observations.fuzz import HDF, fuzz, levels_turned
from tests.inversion.observations.generate_oco import FILL, KERNEL, fields, write
from transport.errors import TanhengError

GENUINE = "satellite_and_column_l2/oco2/oco2-spectrometer_oco2_20150131-336_co2-column.nc"


@pytest.fixture
def granule(tmp_path):
    data = fields(8)
    return data, write(tmp_path / "oco3_LtCO2_200527_B11210Ar_240901000000s.nc4", data)


def test_rows_of_good_quality_are_read(granule):
    data, path = granule
    o = read_oco_lite(path)
    assert len(o) == 6 and o.steps[0].dropped == (("quality flag is not 0", 2),)
    good = [0, 1, 2, 4, 5, 6]
    np.testing.assert_allclose(o.values, data["xco2_x2019"][good], rtol=1e-6)
    np.testing.assert_allclose(o.sigma, data["xco2_uncertainty"][good], rtol=1e-6)
    assert str(o.start[1] + np.timedelta64(500, "us"))[:23] == "2020-05-27T20:31:05.633" and (o.start == o.end).all()
    assert set(o.groups) == {"OCO-3 orbit 06123"} and set(o.flags) == {"0"} and o.extra["operation_mode"][0] == 4.0
    np.testing.assert_allclose(o.extra["psurf"], data["Retrieval/psurf"][good], rtol=1e-6)
    assert o.corners is not None
    np.testing.assert_allclose(o.corners[0], [[-118.0, 33.99], [-117.98, 33.99], [-117.98, 34.01], [-118.0, 34.01]],
                               atol=1e-5)  # fmt: skip


def test_trap_06_the_scale_is_chosen_and_written_down(granule, tmp_path):
    data, path = granule
    old, new = read_oco_lite(path, scale="WMO CO2 X2007"), read_oco_lite(path)
    assert old.scale == "WMO CO2 X2007" and new.scale == "WMO CO2 X2019"
    np.testing.assert_allclose(new.values - old.values, 0.18, atol=1e-4)
    del data["xco2_x2019"]
    before = write(tmp_path / "oco2_LtCO2_v10.nc4", data, platform="OCO-2")
    with pytest.raises(TanhengError, match="no XCO2 on WMO CO2 X2019"):
        read_oco_lite(before)
    assert len(read_oco_lite(before, scale="WMO CO2 X2007")) == 6
    with pytest.raises(TanhengError, match="unknown scale"):
        read_oco_lite(path, scale="X2019")


def test_trap_07_levels_from_space_to_surface_with_half_weights_at_the_ends(granule):
    data, path = granule
    o = read_oco_lite(path)
    v = o.vertical
    assert v is not None and not v.layered.any() and v.pressure.shape == (6, 20)
    np.testing.assert_allclose(v.pressure[:, 0], 100.0 * data["Retrieval/psurf"][[0, 1, 2, 4, 5, 6]], rtol=1e-6)
    np.testing.assert_allclose(v.weights[:, [0, -1]] / v.weights[:, [1, -2]], 0.5, atol=0.01)
    np.testing.assert_allclose(v.weights.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("row", [0, 3, 5])
def test_a_column_is_that_of_the_products_formula(granule, row):
    """XCO2 = xco2_apriori + Σ_j pressure_weight_j · averaging_kernel_j · (x_j − prior_j), j from space to surface."""
    _, path = granule
    o, x = read_oco_lite(path), linear(430.0, 380.0)
    with h5py.File(path) as h:
        names = ("pressure_levels", "pressure_weight", "xco2_averaging_kernel", "co2_profile_apriori", "xco2_apriori")
        raw = {k: np.asarray(h[k], float)[[0, 1, 2, 4, 5, 6][row]] for k in names}
    expected = raw["xco2_apriori"]
    for p, h_j, a, x_a in zip(raw["pressure_levels"], raw["pressure_weight"], raw["xco2_averaging_kernel"],
                              raw["co2_profile_apriori"], strict=True):  # fmt: skip
        expected += h_j * a * (430.0 * p / 1000.0 + 380.0 * (1.0 - p / 1000.0) - x_a)
    assert abs(column(o.vertical, row, x) - expected) < 1e-6
    # The a-priori profile itself gives the a-priori column, here and by its weights to single precision.
    v = o.vertical
    x_a = dict(zip(v.pressure[row].tolist(), v.prior[row].tolist(), strict=True))
    same = column(v, row, lambda p: np.array([x_a[q] for q in p.tolist()]))
    assert abs(same - raw["xco2_apriori"]) < 1e-6 and abs(np.sum(v.weights[row] * v.prior[row]) - same) < 1e-3


def test_trap_08_the_uncertainty_is_noise_and_no_orbit_error_is_made_up(granule):
    o = read_oco_lite(granule[1])
    assert [c.cause for c in o.components] == ["retrieval noise"] and not (o.components[0].groups != "").any()
    assert "noise only" in o.sources[0].notes[0] + o.sources[0].notes[1]


def _spoilt(data, tmp_path, name, change):
    bad = {k: v.copy() for k, v in data.items()}
    bad[name] = change(bad[name])
    return write(tmp_path / "oco3_LtCO2_bad.nc4", bad)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("pressure_levels", lambda a: a[:, ::-1], "pressures do not decrease"),
        ("pressure_levels", lambda a: a * 100.0, "surface pressure"),
        ("pressure_weight", lambda a: np.full_like(a, 0.05), "end weights are not half-size"),
        ("pressure_weight", lambda a: a * 1.01, "weights do not sum to one"),
        ("co2_profile_apriori", lambda a: a[:, ::-1] + 3.0, "a-priori column"),
        ("co2_profile_apriori", lambda a: np.where(np.arange(20) == 7, FILL, a), "a level is missing"),
        ("xco2_averaging_kernel", lambda a: np.where(np.arange(20) == 7, FILL, a), "a level is missing"),
        ("xco2_averaging_kernel", lambda a: a * 30.0, "kernel or prior cannot be meant"),
        ("xco2_x2019", lambda a: a * 1e-6, "value cannot be meant"),
        ("xco2_x2019", lambda a: a * 0.0 + FILL, "no value"),
        ("sounding_id", lambda a: a + 10**12, "sounding id is of another time"),
        ("longitude", lambda a: a + 360.0, "no place"),
    ],
)
def test_a_file_whose_rows_all_fail_is_refused_with_the_reason(granule, tmp_path, name, change, reason):
    with pytest.raises(TanhengError, match="no observation is left") as error:
        read_oco_lite(_spoilt(granule[0], tmp_path, name, change))
    assert reason in str(error.value)


def test_one_bad_row_costs_one_row(granule, tmp_path):
    path = _spoilt(granule[0], tmp_path, "pressure_weight", lambda a: np.where(np.arange(8)[:, None] == 2, FILL, a))
    o = read_oco_lite(path)
    assert len(o) == 5 and dict(o.steps[0].dropped) == {"quality flag is not 0": 2, "end weights are not half-size": 1}


def test_the_generator_makes_levels_like_those_of_a_genuine_sounding(real):
    """v11.2 of 31 January 2015, written out from the file: 1012.87 hPa, 0.0264 … 0.0528 … 0.0263, 0.2305 … 0.9770."""
    with h5py.File(real(GENUINE)) as h:
        p, w, a, prior = (np.asarray(h[k], float)[0] for k in (
            "pressure_levels", "pressure_weights", "xco2_averaging_kernel", "co2_profile_apriori"))  # fmt: skip
    assert abs(p[-1] - 1012.8667) < 1e-3 and abs(w[0] - 0.0264151) < 1e-6 and abs(a[0] - 0.2305312) < 1e-6
    made = fields(4)
    np.testing.assert_allclose(made["pressure_levels"] / made["pressure_levels"][:, -1:], np.tile(p / p[-1], (4, 1)),
                               rtol=1e-4)  # fmt: skip
    np.testing.assert_allclose(made["pressure_weight"], np.tile(w, (4, 1)), atol=5e-4)
    np.testing.assert_allclose(KERNEL, a, atol=0.006)
    assert abs(np.sum(w) - 1.0) < 1e-6 and 380.0 < np.sum(w * prior) < 420.0


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_oco_lite(granule, tmp_path, count):
    (tmp_path / "fuzz").mkdir()
    tally = fuzz(read_oco_lite, granule[1], (*HDF, levels_turned("pressure_levels")), count, tmp_path / "fuzz")
    print(tally)
    assert tally["refused"] > 0.3 * count and tally["same"] > 0
