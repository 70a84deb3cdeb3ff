"""The prepared TROPOMI soundings of Open Methane, against numbers read from the file with h5py."""

import h5py
import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.open_methane import read_open_methane
from tests.inversion.observations.fuzz import HDF, SAME, fuzz, small
from transport.errors import TanhengError

FILE = "openmethane_bowen_basin/case_2022-12-07/obs/test_obs_2022-12-07.nc"
NAMES = ["xch4", "time", "qa_value", "latitude", "longitude", "latitude_corners", "longitude_corners",
         "column_averaging_kernel", "surface_albedo_SWIR"]  # fmt: skip


@pytest.fixture
def cut(real, tmp_path):
    """Seven soundings with the variables that are read."""
    with xr.open_dataset(real(FILE), engine="h5netcdf", decode_times=False) as data:
        return small(data[NAMES].isel(obs=slice(0, 165, 25)).drop_vars("obs").load(), tmp_path / "cut.nc")


def test_values_of_the_file(real):
    o = read_open_methane(real(FILE))
    assert len(o) == 165 and o.unit == "ppb" and o.species == "CH4" and set(o.kinds) == {"column"}
    for row, value, lon, lat, ground, top, albedo in (
        (0, 1861.8511352539062, 148.63363647460938, -23.679201126098633, 1.06790018, 0.68739212, 0.09075387567281723),
        (80, 1862.2645874023438, 148.96768188476562, -23.181650161743164, 1.07274175, 0.68114102, 0.08974212408065796),
        (164, 1859.7586059570312, 148.58963012695312, -22.856861114501953, 1.06552088, 0.68293548, 0.11403227597475052),
    ):
        assert (o.values[row], o.lon[row], o.lat[row]) == (value, lon, lat)
        assert o.vertical is not None
        np.testing.assert_allclose(o.vertical.kernel[row, [0, -1]], [ground, top], rtol=1e-8)
        assert o.extra["surface_albedo"][row] == albedo
    # 7 and 14 s after 2022-12-07 03:44:25.
    assert [str(t)[11:19] for t in o.start[[0, 80, 164]]] == ["03:44:25", "03:44:32", "03:44:39"]
    assert np.isnan(o.sigma).all()  # the constant 20 ppb is nobody's error
    v = o.vertical
    assert v is not None and np.isnan(v.prior).all() and np.allclose(v.weights.sum(axis=1), 1.0)
    # Stored from the top of the atmosphere down.
    with h5py.File(real(FILE)) as file:
        stored = file["column_averaging_kernel"][0]  # type: ignore[index]
    np.testing.assert_array_equal(v.kernel[0], stored[::-1])
    assert v.kernel[0, 0] > 1.0 > v.kernel[0, -1]


def test_quality_is_asked_for(real):
    with pytest.raises(TanhengError, match="no sounding can be used"):
        read_open_methane(real(FILE), 1.1)


def upside_down(rng: np.random.Generator, file) -> str:
    """The kernels stand on their head; a permutation of layers could not be noticed."""
    with h5py.File(file, "a") as h:
        h["column_averaging_kernel"][...] = h["column_averaging_kernel"][...][:, ::-1]  # type: ignore[index]
    return SAME


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_open_methane(cut, tmp_path, count):
    (tmp_path / "fuzz").mkdir()
    tally = fuzz(read_open_methane, cut, (*HDF, upside_down), count, tmp_path / "fuzz")
    print(tally)
    assert tally["refused"] > 0.4 * count
