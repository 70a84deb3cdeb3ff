"""TanSat in the form of the Climate Change Initiative: generated files only, none was at hand."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.tansat import read_tansat
from tests.inversion.observations.by_hand import column, linear
from tests.inversion.observations.fuzz import HDF, fuzz, small
from tests.inversion.observations.generate_oco import fields
from transport.errors import TanhengError


def dataset(order: int = 1, **changes) -> xr.Dataset:
    """Six soundings; order 1 from space to the ground, −1 from the ground up."""
    data = fields(6)
    n, profile = ("n",), ("n", "m")
    wide = {k: data[k].astype("f4")[:, ::order] for k in ("pressure_levels", "pressure_weight", "xco2_averaging_kernel",
                                                          "co2_profile_apriori")}  # fmt: skip
    variables = {
        "time": (n, data["time"], {"units": "seconds since 1970-01-01 00:00:00"}),
        "latitude": (n, data["latitude"], {"units": "degrees_north"}),
        "longitude": (n, data["longitude"], {"units": "degrees_east"}),
        "xco2": (n, data["xco2"].astype("f4"), {"units": "1e-6"}),
        "xco2_uncertainty": (n, data["xco2_uncertainty"].astype("f4"), {"units": "1e-6"}),
        "xco2_quality_flag": (n, data["xco2_quality_flag"], {"units": "1"}),
        "pressure_levels": (profile, wide["pressure_levels"], {"units": "hPa"}),
        "pressure_weight": (profile, wide["pressure_weight"], {"units": "1"}),
        "xco2_averaging_kernel": (profile, wide["xco2_averaging_kernel"], {"units": "1"}),
        "co2_profile_apriori": (profile, wide["co2_profile_apriori"], {"units": "1e-6"}),
    }
    for name, change in changes.items():
        dims, values, attributes = variables[name]
        variables[name] = (dims, change(values.copy()), attributes)
    return xr.Dataset(variables, attrs={"title": "generated"})


@pytest.mark.parametrize("order", [1, -1])
def test_both_orders_give_the_same_columns(tmp_path, order):
    path = small(dataset(order), Path(tmp_path / "ESACCI-GHG-L2-CO2-TANSAT-OCFP-20200527.nc"))
    o, data = read_tansat(path), fields(6)
    assert len(o) == 5 and o.unit == "ppm" and set(o.groups) == {"TanSat 2020-05-27"} and o.scale == ""
    np.testing.assert_allclose(o.values, data["xco2"][[0, 1, 2, 4, 5]], rtol=1e-6)
    p, w, a, x_a = (data[k].astype("f4")[4].astype(float) for k in (
        "pressure_levels", "pressure_weight", "xco2_averaging_kernel", "co2_profile_apriori"))  # fmt: skip
    expected = np.sum(w * x_a) + np.sum(w * a * (380.0 + 50.0 * p / 1000.0 - x_a))
    assert abs(column(o.vertical, 3, linear(430.0, 380.0)) - expected) < 1e-6
    assert o.vertical is not None and (o.vertical.pressure[:, 0] > 8e4).all()
    assert any("no genuine file" in note for note in o.sources[0].notes)


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        (
            "pressure_levels",
            lambda p: np.where(np.arange(6)[:, None] == 2, p[:, ::-1], p),
            "neither all up nor all down",
        ),
        ("pressure_levels", lambda p: p * 100.0, "surface pressure cannot be meant"),
        ("co2_profile_apriori", lambda x: x * 1e-6, "a-priori column cannot be meant"),
        ("pressure_weight", lambda w: np.roll(w, 1, axis=1), "weights do not follow"),
    ],
)
def test_what_the_numbers_do_not_confirm_is_refused(tmp_path, name, change, what):
    path = small(dataset(**{name: change}), Path(tmp_path / "tansat.nc"))
    with pytest.raises(TanhengError, match=what):
        read_tansat(path)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_tansat(tmp_path, count):
    (tmp_path / "fuzz").mkdir()
    tally = fuzz(read_tansat, small(dataset(), tmp_path / "tansat.nc"), HDF, count, tmp_path / "fuzz")
    print(tally)
    assert tally["refused"] > 0.3 * count and tally["same"] > 0
