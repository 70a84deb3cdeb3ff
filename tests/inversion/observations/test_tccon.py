"""TCCON: numbers of the real file, its operator by hand for any profile, and files that are damaged."""

import h5py
import numpy as np
import pytest
import xarray as xr

from inversion.observations.readers.tccon import pressure_weights, read_tccon
from tests.inversion.observations.fuzz import HDF, SAME, fuzz, levels_turned, small
from transport.errors import TanhengError

HARWELL = "satellite_and_column_l2/tccon/hw20230402_20230402.public.qc.nc"


def quadrature(pressure, factor, surface, slices=200_001):
    """h by summing level functions on thin slices of pressure, instead of the reader's closed form."""
    edges = np.linspace(pressure[-1], surface, slices)
    middle, thick = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    weights = np.array([
        (np.interp(-np.log(middle), -np.log(pressure), np.eye(pressure.size)[j]) * thick).sum()
        for j in range(pressure.size)
    ])  # fmt: skip
    weights[-1] += pressure[-1]
    return weights * factor / (weights * factor).sum()


def synthetic(path, revision="R0", drop=False, **changes):
    """Three spectra on six levels, in the names and units of a public file."""
    n, atm = 3, np.array([1.01, 0.8, 0.6, 0.3, 0.1, 0.01])
    q, g = np.array([0.012, 0.008, 0.004, 5e-4, 1e-5, 5e-6]), np.array([9.81, 9.805, 9.8, 9.78, 9.75, 9.7])
    co2, ch4 = np.array([432.0, 422.0, 418.0, 412.0, 395.0, 380.0]), np.array([1950.0, 1920, 1900, 1850, 1500, 800])
    xluft = np.array([0.999, 1.002, 1.0])
    h = quadrature(atm * 101325.0, 1.0 / (g * (1.0 + q / (1.0 - q) * 18.015 / 28.9647)), 1.0e5, 20_001)
    w = h / (1.0 - q)
    level, time = lambda a, units: (("time", "prior_altitude"), np.tile(a, (n, 1)), {"units": units}), ("time",)
    column = lambda x: xluft * (w * x * (1.0 - q)).sum()  # noqa: E731
    km = np.array([0.0, 2.0, 4.0, 9.0, 16.0, 30.0])
    ak = np.array([0.9, 0.95, 1.0, 1.05, 1.1, 1.2])
    scale = lambda s: {"units": "ppm", "wmo_or_analogous_scale": s}  # noqa: E731
    data = {
        "time": (time, 1.6e9 + np.arange(n) * 100.0, {"units": "seconds since 1970-01-01"}),
        "prior_altitude": (("prior_altitude",), km, {"units": "km"}),
        "ak_altitude": (("ak_altitude",), km, {"units": "km"}),
        "xco2": (time, np.array([420.0, 421.0, 422.0]), scale("WMO CO2 X2007")),
        "xco2_x2019": (time, np.array([420.2, 421.2, 422.2]), scale("WMO CO2 X2019")),
        "xch4": (time, np.array([1.89, 1.90, 1.91]), scale("WMO CH4 X2004")),
        "xco2_error": (time, np.full(n, 1.3), {"units": "ppm"}),
        "xco2_error_x2019": (time, np.full(n, 1.4), {"units": "ppm"}),
        "xch4_error": (time, np.full(n, 0.005), {"units": "ppm"}),
        "prior_xco2": (time, column(co2), {"units": "ppm"}), "prior_xco2_x2019": (time, column(co2), {"units": "ppm"}),
        "prior_xch4": (time, column(ch4) / 1e3, {"units": "ppm"}),
        "prior_xh2o": (time, column(q / (1.0 - q)) * 1e6, {"units": "ppm"}),
        "lat": (time, np.full(n, 51.57), {"units": "degrees_north"}),
        "long": (time, np.full(n, -1.32), {"units": "degrees_east"}),
        "zobs": (time, np.full(n, 0.142), {"units": "km"}), "pout": (time, np.full(n, 1000.0), {"units": "hPa"}),
        "solzen": (time, np.full(n, 60.0), {"units": "degrees"}), "airmass": (time, np.full(n, 2.0), {"units": ""}),
        "xluft": (time, xluft, {"units": "1"}),
        "prior_pressure": level(atm, "atm"), "prior_gravity": level(g, "m.s-2"), "prior_h2o": level(q, "1"),
        "prior_co2": level(co2 * (1.0 - q), "ppm"), "prior_ch4": level(ch4 * (1.0 - q), "ppb"),
        "integration_operator": (("time", "prior_altitude"), xluft[:, None] * w, {"units": "1"}),
        "integration_operator_x2019": (("time", "prior_altitude"), xluft[:, None] * w, {"units": "1"}),
    }  # fmt: skip
    for gas in ("xco2", "xch4"):
        data[f"ak_{gas}"] = (("time", "ak_altitude"), np.tile(ak, (n, 1)), {"units": "1"})
        data[f"extrapolation_flags_ak_{gas}"] = (time, np.zeros(n, np.int8))
    for name, values in changes.items():
        data[name] = (data[name][0], values, *data[name][2:])
    about = {
        "long_name": "synthetic01",
        "file_format_version": "2020.C",
        "data_revision": revision,
        "contact": "nobody",
    }
    return small(xr.Dataset(data, attrs=about), path)


@pytest.fixture
def harwell(real):
    return real(HARWELL)


def test_numbers_of_the_real_file(harwell):
    o = read_tccon(harwell)  # numbers below were read off with h5py
    assert len(o) == 64 and set(o.groups) == {"harwell01"} and set(o.kinds) == {"column"} and o.unit == "ppm"
    assert o.scale == "WMO CO2 X2019" and abs(o.values[0] - 420.8568) < 1e-4 and abs(o.sigma[0] - 1.3101459) < 1e-6
    assert str(o.start[0]) == "2023-04-02T15:09:00.000000000" and (o.start == o.end).all()
    assert str(o.start[-1])[:19] == "2023-04-02T16:57:49"
    assert np.allclose([o.lon[0], o.lat[0], o.altitude[0]], [-1.32, 51.57, 142.0], atol=1e-5)
    assert np.allclose([o.extra[k][0] for k in ("airmass", "solzen", "xluft")], [1.974, 59.63, 0.9997], atol=1e-6)
    old = read_tccon(harwell, "CO2", "WMO CO2 X2007")
    assert old.scale == "WMO CO2 X2007" and abs(old.values[0] - 420.81) < 1e-4 and abs(old.sigma[0] - 1.31) < 1e-6
    assert old.extra["surface_pressure"][0] == pytest.approx(101080.0, abs=0.01)


def test_trap_12_wet_profiles_and_three_units(harwell):
    co2, ch4 = read_tccon(harwell), read_tccon(harwell, "CH4")
    # Level 0: 1.0139 atm, q = 0.0075022, 430.84 ppm wet, 1944.3 ppb wet; xch4 1.8868 ppm.
    assert co2.vertical.pressure[0, 0] == pytest.approx(1.0139 * 101325.0, rel=1e-6)
    assert co2.vertical.prior[0, 0] == pytest.approx(430.84 / (1.0 - 0.0075022), rel=1e-6)
    assert ch4.vertical.prior[0, 0] == pytest.approx(1944.3 / (1.0 - 0.0075022), rel=1e-6)
    assert ch4.values[0] == pytest.approx(1886.8, abs=1e-3) and ch4.unit == "ppb"
    assert ch4.sigma[0] == pytest.approx(5.3, abs=1e-3)


def test_trap_12_dry_profile_to_nine_digits(tmp_path):
    o = read_tccon(synthetic(tmp_path / "a.nc", "R1"))
    np.testing.assert_allclose(o.vertical.prior[0], [432.0, 422.0, 418.0, 412.0, 395.0, 380.0], rtol=1e-12)


def test_trap_13_faulty_operator_is_not_used(harwell):
    with h5py.File(harwell) as f:
        get = lambda name: f[name][...].astype(float)  # noqa: E731
        w, q, xluft = get("integration_operator"), get("prior_h2o"), get("xluft")
        stated = {"CO2": get("prior_xco2"), "CH4": get("prior_xch4") * 1e3}
    # The file's own operator follows the O2 column of each spectrum: its sum over dry air is xluft, up to 4e-4.
    assert np.abs((w * (1.0 - q)).sum(axis=1) / xluft - 1.0).max() < 5e-4
    shape = w * (1.0 - q) / (w * (1.0 - q)).sum(axis=1, keepdims=True)
    for species, scale in (("CO2", "WMO CO2 X2007"), ("CH4", None)):
        o = read_tccon(harwell, species, scale)
        assert "faulty" in o.sources[0].notes[0]
        np.testing.assert_allclose(o.vertical.weights.sum(axis=1), 1.0, rtol=1e-12)
        assert np.abs(o.vertical.weights - shape).max() < 3e-4 and np.ptp(xluft) > 5e-3
        # Reached: 1.4e-4…3.9e-4 for CO2, 2.1e-4…4.5e-4 for CH4; without xluft it would be 9e-3.
        own = (o.vertical.weights * o.vertical.prior).sum(axis=1)
        assert np.abs(own * xluft / stated[species] - 1.0).max() < 5e-4
        np.testing.assert_array_equal(o.vertical.prior_value, own)


@pytest.fixture
def sound(harwell, tmp_path):
    """The real file under another revision, so that its operator is used."""
    path = tmp_path / "sound.nc"
    path.write_bytes(harwell.read_bytes())
    with h5py.File(path, "a") as f:
        f.attrs["data_revision"] = np.bytes_("R1")
    return path


@pytest.mark.parametrize(("species", "scale", "suffix"), [("CO2", "WMO CO2 X2019", "_x2019"), ("CH4", None, "")])
def test_trap_13_one_spectrum_by_hand_in_the_wet_convention(sound, species, scale, suffix):
    gas, row, unit = species.lower(), 17, {"CO2": 1.0, "CH4": 1e3}[species]
    with h5py.File(sound) as f:
        w, a = f[f"integration_operator{suffix}"][row].astype(float), f[f"ak_x{gas}"][row].astype(float)
        q, prior_wet = f["prior_h2o"][row].astype(float), f[f"prior_{gas}"][row].astype(float)
        prior_column = float(f[f"prior_x{gas}{suffix}"][row]) * unit
    dry = np.linspace(450.0, 380.0, 51) * (1.0 if species == "CO2" else 4.5) + 3.0 * np.sin(np.arange(51))
    by_hand = prior_column
    for j in range(51):  # what the description of the operator says: it is multiplied with wet mole fractions
        wet = dry[j] * (1.0 - q[j])
        by_hand += w[j] * a[j] * (wet - prior_wet[j])
    v = read_tccon(sound, species, scale).vertical
    ours = v.prior_value[row] + (v.weights[row] * v.kernel[row] * (dry - v.prior[row])).sum()
    assert ours == pytest.approx(by_hand, rel=1e-12)
    # Σ h x_a = Σ w x_wet, and the file's own column within 6e-5 (CO2) and 7e-5 (CH4).
    assert (v.weights * v.prior).sum(axis=1) == pytest.approx(v.prior_value, rel=1e-4)


def test_trap_13_by_pressure_weights_for_any_profile(harwell):
    """The published sum over levels, here by quadrature above the measured pressure, with the file's numbers."""
    row = 17
    with h5py.File(harwell) as f:
        get = lambda name: f[name][row].astype(float)  # noqa: E731
        p, q, g, a = get("prior_pressure") * 101325.0, get("prior_h2o"), get("prior_gravity"), get("ak_xco2")
        wet, surface = get("prior_co2"), float(f["pout"][row]) * 100.0
    water = q / (1.0 - q)
    h, prior = quadrature(p, 1.0 / (g * (1.0 + water * 18.015 / 28.9647)), surface), wet * (1.0 + water)
    dry = np.linspace(450.0, 380.0, 51) + 3.0 * np.sin(np.arange(51))
    by_hand = (h * prior).sum() + (h * a * (dry - prior)).sum()
    v = read_tccon(harwell).vertical
    ours = v.prior_value[row] + (v.weights[row] * v.kernel[row] * (dry - v.prior[row])).sum()
    assert ours == pytest.approx(by_hand, rel=1e-7)
    # X = X_a where x = x_a
    assert v.prior_value[row] == pytest.approx((h * prior).sum(), rel=1e-7)


def test_trap_14_the_column_begins_at_the_measured_pressure():
    p = np.array([[1.0e5, 9.0e4, 5.0e4, 1.0e4]])
    dry, g = np.zeros_like(p), np.full_like(p, 9.8)
    for surface in (9.7e4, 8.0e4, 9.0e4):
        h = pressure_weights(p, g, dry, np.array([surface]))[0]
        np.testing.assert_allclose(h, quadrature(p[0], np.ones(4), surface), atol=2e-6)
        assert h.sum() == pytest.approx(1.0, rel=1e-14)
    assert pressure_weights(p, g, dry, np.array([8.0e4]))[0, 0] == 0.0  # its layer is below the ground
    # Below the lowest level the lowest value goes on: 1.05e5 − 1e5 falls to level 0.
    deep, flat = (pressure_weights(p, g, dry, np.array([s]))[0] for s in (1.05e5, 1.0e5))
    assert deep[0] * 1.05e5 - flat[0] * 1.0e5 == pytest.approx(5.0e3, rel=1e-9)
    # Half as much water in dry air leaves 1/(1 + 0.02·0.62197) of the air.
    moist = dry.copy()
    moist[0, 0] = 0.02
    ratio = pressure_weights(p, g, moist, np.array([1.0e5]))[0] / flat
    assert ratio[0] / ratio[1] == pytest.approx(1.0 / (1.0 + 0.02 * 18.015 / 28.9647), rel=1e-12)


def test_rows_are_left_out_with_a_reason(tmp_path):
    o = read_tccon(synthetic(tmp_path / "a.nc", extrapolation_flags_ak_xco2=np.array([2, 0, -1], np.int8)))
    assert o.steps[0].dropped == (("kernel clamped at the ends of its table (flag ±2)", 1),)
    assert o.flags.tolist() == ["0", "-1"] and o.values.tolist() == [421.2, 422.2]
    with pytest.raises(TanhengError, match=r"disagrees with its column in the file': 3"):
        read_tccon(synthetic(tmp_path / "b.nc", prior_co2=np.full((3, 6), 300.0)))
    with pytest.raises(TanhengError, match=r"fill value': 3"):
        read_tccon(synthetic(tmp_path / "c.nc", pout=np.full(3, np.nan)))


def test_what_is_not_there_is_refused(tmp_path):
    path = synthetic(tmp_path / "a.nc")
    for species, scale in (("N2O", None), ("CO2", "WMO CO2 X2023"), ("CH4", "WMO CH4 X2004A")):
        with pytest.raises(TanhengError, match="no such species on such a scale"):
            read_tccon(path, species, scale)
    with h5py.File(path, "a") as f:
        f["xco2_x2019"].attrs["wmo_or_analogous_scale"] = "WMO CO2 X2023"
    with pytest.raises(TanhengError, match="another scale"):
        read_tccon(path)


def test_prior_column_follows_the_o2_of_each_spectrum(tmp_path):
    path = synthetic(tmp_path / "a.nc")
    with h5py.File(path, "a") as f:  # 2 % less O2 than there is: file columns and xluft are 2 % high
        for name in ("xluft", "prior_xco2_x2019", "prior_xh2o"):
            f[name][...] = f[name][...] * 1.02
    o = read_tccon(path)
    assert len(o) == 3
    np.testing.assert_allclose(o.vertical.prior_value, 413.64961, atol=2e-5)  # by trapezia on 2·10⁶ slices


def upside_down(*names):
    """One of these variables runs from the top to the ground."""

    def turned(rng, file):
        with h5py.File(file, "a") as f:
            name = names[rng.integers(len(names))]
            f[name][...] = f[name][...][..., ::-1]
        return SAME

    return turned


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("revision", ["R0", "R1"])
def test_fuzz_tccon(tmp_path, revision, count):
    (tmp_path / "in").mkdir()
    profiles = ["prior_co2", "prior_h2o", *(["integration_operator_x2019"] if revision == "R1" else [])]
    turned = levels_turned("prior_pressure", "prior_gravity"), upside_down(*profiles)
    original = synthetic(tmp_path / "in" / "a.nc", revision, drop=True)
    tally = fuzz(read_tccon, original, (*HDF, *turned), count, tmp_path)
    print(revision, tally)
    assert tally["refused"] > count / 4 and tally["same"] > 0
