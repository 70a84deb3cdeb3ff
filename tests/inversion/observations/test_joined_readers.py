"""What the readers give goes together: joined, written, read again, described."""

import numpy as np
import pytest

from inversion.observations import Component, describe, join, mismatch, netcdf
from inversion.observations.readers.em27 import read_em27
from inversion.observations.readers.ggg_map import read_map, with_prior
from inversion.observations.readers.lidar import read_ipda, read_paths
from inversion.observations.readers.tccon import read_tccon
from tests.inversion.observations.test_em27 import export, proffast
from tests.inversion.observations.test_ggg_map import OLD, map_file
from tests.inversion.observations.test_lidar import OURS, PATHS, paths, soundings
from tests.inversion.observations.test_observations import assert_same
from tests.inversion.observations.test_tccon import synthetic
from transport.errors import TanhengError


@pytest.fixture
def carbon_dioxide(tmp_path):
    """Levels (6 and 71), layers (5), columns without kernel, paths: 3 + 4 + 4 + 7 + 3 rows of CO2."""
    profile = read_map(map_file(tmp_path / "ma2021032912_Z.map", OLD))
    open_path = PATHS.replace("CH4 X2004A", "CO2 X2019").replace("ppb", "ppm")
    open_path = open_path.replace("1.95,ppm", "415.0,ppm").replace("1960.5", "416.0").replace("1.97e-6", "417e-6")
    return [
        read_tccon(synthetic(tmp_path / "hw.public.qc.nc")),
        with_prior(read_em27(proffast(tmp_path / "ma_SN061_20210329.csv")), profile, np.full(71, 1.05), "SZA 70°"),
        read_ipda(soundings(tmp_path / "ipda.nc")),
        read_em27(export(tmp_path / "muccnet.csv")),
        read_paths(paths(tmp_path / "paths.csv", open_path), "CO2", OURS),
    ]


def equivalent(v, row, profile):
    """y_a + Σ h a (x − x_a) of one row with x a function of pressure at levels or at the middles of layers."""
    k = np.isfinite(v.weights[row])
    p = v.pressure[row]
    x = profile(0.5 * (p[:-1] + p[1:]) if v.layered[row] else p)[: k.size][k]
    return v.prior_value[row] + (v.weights[row][k] * v.kernel[row][k] * (x - v.prior[row][k])).sum()


def test_join_keeps_every_row_and_its_kernel(carbon_dioxide):
    o = join(carbon_dioxide)
    assert [len(p) for p in carbon_dioxide] == [3, 4, 4, 7, 3] and len(o) == 21
    assert o.kinds.tolist() == ["column"] * 18 + ["path"] * 3
    np.testing.assert_array_equal(o.values, np.concatenate([p.values for p in carbon_dioxide]))
    names = [o.sources[i].name for i in o.origin]
    assert names[:4] == ["hw.public.qc.nc"] * 3 + ["ma_SN061_20210329.csv"] and names[-1] == "paths.csv"
    assert len(o.sources) == 6  # the a-priori profile is one of them
    assert (
        o.vertical.pressure.shape == (21, 72) and o.vertical.layered.tolist() == [False] * 7 + [True] * 4 + [False] * 10
    )
    profile = lambda p: 420.0 - 20.0 * np.exp(-p / 2e4)  # noqa: E731
    alone = [equivalent(p.vertical, i, profile) for p in carbon_dioxide[:3] for i in range(len(p))]
    np.testing.assert_allclose([equivalent(o.vertical, i, profile) for i in range(11)], alone, rtol=1e-14)
    assert np.isnan(o.vertical.weights[11:]).all() and np.isnan(o.ends[:18]).all() and np.isfinite(o.ends[18:]).all()


def test_errors_of_one_set_are_not_those_of_another(carbon_dioxide):
    o = join(carbon_dioxide)
    np.testing.assert_allclose(o.component("retrieval bias"), [0.0] * 7 + [0.4] * 4 + [0.0] * 10)
    np.testing.assert_allclose(o.component("retrieval noise")[:3], 1.4)
    with pytest.raises(TanhengError, match="not positive"):  # EM27 tables state none
        mismatch.covariance(o)
    stated = o.with_components(Component.shared("calibration", np.full(21, 0.5), np.char.add("own ", o.instruments)))
    with pytest.raises(TanhengError, match="not positive"):  # one repeatability of a path is an empty word
        mismatch.covariance(stated)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 1, 3)])
def test_a_joined_set_is_written_and_read_without_loss(tmp_path, carbon_dioxide, order):
    o = join([carbon_dioxide[i] for i in order])
    assert_same(netcdf.read(netcdf.write(o, tmp_path / "all.nc")), o)


def test_description_names_every_source_and_group(carbon_dioxide):
    text = describe(join(carbon_dioxide))
    for word in (
        "synthetic01", "SN061", "0101", "OP1", "WMO CO2 X2019", "hw.public.qc.nc", "ma2021032912_Z.map", "ipda.nc",
        "muccnet.csv", "paths.csv", "kernel: SZA 70°", "retrieval bias", "calibration", "no a-priori term",
        "join 5 sets", "not retrieved (0, NaN or no number): 1",
    ):  # fmt: skip
        assert word in text, (word, text)


def test_methane_is_not_joined_with_carbon_dioxide(tmp_path, carbon_dioxide):
    with pytest.raises(TanhengError, match="cannot be joined"):
        join([carbon_dioxide[0], read_tccon(synthetic(tmp_path / "hw.nc"), "CH4")])
