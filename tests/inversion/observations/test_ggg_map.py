"""A-priori profiles of GGG: wet and dry files, and their use with a kernel that the user names."""

import numpy as np
import pytest

from inversion.observations.readers.em27 import read_em27
from inversion.observations.readers.ggg_map import read_map, with_prior
from tests.inversion.observations.fuzz import TEXT, fuzz, without_column
from tests.inversion.observations.test_em27 import proffast
from transport.errors import TanhengError

OLD = [" GSETUP                   Version 3.92     2013-12-20    GCT    ",
       " WRITE_AUX                Version 1.11     27-May-2013    DW  "]  # fmt: skip
NEW = ["GINPUT                    Version 1.0.6    JLL, SR, MK",
       "NOTE: The gas concentrations (including H2O) are WET MOLE FRACTIONS. If you require dry ..."]  # fmt: skip


def map_file(path, head, levels=71):
    """A profile of 71 (GGG2014) or 51 (GGG2020) levels with 1.9 % of water at the ground."""
    above = [*head, " Latitude (degrees):  48.000"]
    names = ["Height,Temp,Pressure,Density,h2o,hdo,co2,n2o,co,ch4,hf,gravity",
             "km,K,hPa,molecules_cm3,parts,parts,ppm,ppb,ppb,ppb,ppt,m_s2"]  # fmt: skip
    lines = [f" {len(above) + 3} 12", *above, *names]
    for i in range(levels):
        z = 70.0 * i / (levels - 1)
        lines.append(
            f"{z:7.3f}, 280.0,{1018 * np.exp(-z / 7.5):.3E},1.0E+19,{0.0189 * np.exp(-z / 2):.3E},1.0E-03,"
            f"{410 + z / 10:.3f}, 326.500, 0.111E+03, {1940 - 20 * z:.1f},0.1,{9.809 - 0.003 * z:.4f},"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def test_numbers_of_the_real_file(real):
    p = read_map(real("munich_em27/mc2022060211_Z.map"))
    assert p.site == "mc" and str(p.time) == "2022-06-02T11:00:00" and p.pressure.size == 71
    # Line of 1 km: 0.9057E+03 hPa, h2o 0.1387E-01, co2 412.038, ch4 1937.0, gravity 9.8060.
    assert (p.height[1], p.gravity[1]) == (1000.0, 9.806) and p.pressure[1] == pytest.approx(90570.0)
    # WRITE_AUX 1.11 is GGG2014, whose files are dry: N2O is 326.5 ppb at 0 and 7 km, with 1.9 % and 0.1 % of water.
    assert p.gases["CO2"][1] == 412.038 and p.gases["CH4"][1] == 1937.0 and p.water[1] == pytest.approx(0.01387)
    assert "dry already (GGG2014)" in p.source.notes[0] and "0.99 times" in p.source.notes[1]


def test_wet_files_are_dried(tmp_path):
    p = read_map(map_file(tmp_path / "mc_2021032906Z.map", NEW, 51))
    assert p.gases["CO2"][0] == pytest.approx(410.0 / (1.0 - 0.0189), rel=1e-12)
    assert p.gases["CH4"][0] == pytest.approx(1940.0 / (1.0 - 0.0189), rel=1e-12)
    assert p.water[0] == pytest.approx(0.0189 / (1.0 - 0.0189), rel=1e-12) and "were dried" in p.source.notes[0]
    assert str(p.time) == "2021-03-29T06:00:00" and len(p.source.notes) == 1
    dry = read_map(map_file(tmp_path / "mc20210329.map", OLD))
    assert dry.gases["CO2"][0] == 410.0 and dry.water[0] == 0.0189 and str(dry.time) == "2021-03-29T12:00:00"


def test_a_file_that_does_not_tell_is_refused(tmp_path):
    path = map_file(tmp_path / "xx20210329.map", [" WRITE_AUX                Version 1.13      2019-02-13      GCT"])
    with pytest.raises(TanhengError, match="wet or dry"):
        read_map(path)
    assert read_map(path, wet=True).gases["CO2"][0] == pytest.approx(410.0 / (1.0 - 0.0189))


@pytest.mark.parametrize("left", [0, 1, 50, 70])
def test_a_cut_profile_is_refused(tmp_path, left):
    path = map_file(tmp_path / "xx20210329.map", OLD)
    path.write_text("\n".join(path.read_text().splitlines()[: 6 + left]) + "\n")
    with pytest.raises(TanhengError, match="cannot be meant") as error:
        read_map(path)
    assert error.value.expected == "51 levels (GGG2020) or 71 (GGG2014)"


@pytest.fixture
def columns(tmp_path):
    return read_em27(proffast(tmp_path / "ma_SN061_20210329.csv"))


def test_kernel_and_profile_are_attached(tmp_path, columns):
    profile = read_map(map_file(tmp_path / "ma2021032912_Z.map", OLD))
    a = np.linspace(0.9, 1.3, 71)
    v = with_prior(columns, profile, a, "SZA 70°, PROFFAST").vertical
    # By hand: sum over slices of 1 Pa of air from 969.2 hPa up, gas and gravity between levels in ln p.
    p = np.arange(96920.0, profile.pressure[-1], -1.0) - 0.5
    at = lambda x: np.interp(-np.log(p), -np.log(profile.pressure), x)  # noqa: E731
    air = 1.0 / (at(profile.gravity) * (1.0 + at(profile.water) * 18.015 / 28.9647))
    column = lambda x: (at(x) * air).sum() / air.sum()  # noqa: E731
    assert v.prior_value[0] == pytest.approx(column(profile.gases["CO2"]), rel=2e-6)
    x = 400.0 + 20.0 * np.cos(np.arange(71) / 9.0)
    ours = v.prior_value[0] + (v.weights[0] * v.kernel[0] * (x - v.prior[0])).sum()
    by_hand = column(profile.gases["CO2"] + a * (x - profile.gases["CO2"]))
    assert ours == pytest.approx(by_hand, rel=1e-5)
    np.testing.assert_allclose(v.weights.sum(axis=1), 1.0, rtol=1e-12)


def test_a_missing_profile_is_refused_and_a_substitute_recorded(tmp_path, columns):
    a = np.ones(71)
    with pytest.raises(TanhengError, match="without kernel and a-priori profile"):
        with_prior(columns, None, a, "unit")
    good = read_map(map_file(tmp_path / "ma2021032912_Z.map", OLD))
    assert with_prior(columns, good, a, "unit").steps[-1].what == "kernel: unit; a-priori profile: ma2021032912_Z.map"
    for name in ("mb2021032912_Z.map", "ma2021033012_Z.map", "profile.map"):
        other = read_map(map_file(tmp_path / name, OLD))
        with pytest.raises(TanhengError, match="another site or time"):
            with_prior(columns, other, a, "unit")
        o = with_prior(columns, other, a, "unit", substitute="4 km away")
        assert o.steps[-1].what.endswith(f"{name}, as a substitute: 4 km away") and o.steps[-1].kept == 4
        assert [s.name for s in o.sources] == ["ma_SN061_20210329.csv", name] and o.origin.tolist() == [0] * 4
    with pytest.raises(TanhengError, match="kernel does not fit"):
        with_prior(columns, good, np.ones(51), "unit")
    with pytest.raises(TanhengError, match="cannot be given"):
        with_prior(with_prior(columns, good, a, "unit"), good, a, "unit")


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("head", "levels"), [(OLD, 71), (NEW, 51)])
def test_fuzz_map(tmp_path, columns, head, levels, count):
    (tmp_path / "in").mkdir()
    original = map_file(tmp_path / "in" / "ma2021032912_Z.map", head, levels)
    read = lambda path: with_prior(columns, read_map(path), np.ones(levels), "unit")  # noqa: E731
    tally = fuzz(read, original, (*TEXT, without_column(",")), count, tmp_path)
    print(tally)
    assert tally["refused"] > count / 8 and tally["same"] > 0
