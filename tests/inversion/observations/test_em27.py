"""EM27/SUN tables of PROFFAST and MUCCnet: numbers of the real files, what is left out, and damaged files."""

import numpy as np
import pytest

from inversion.observations.readers.em27 import read_em27
from tests.inversion.observations.fuzz import TEXT, fuzz, without_column
from transport.errors import TanhengError

NAMES = (
    "UTC, LocalTime, spectrum, JulianDate, UTtimeh, gndP, gndT, latdeg, londeg, altim, appSZA, azimuth, XH2O, XAIR, "
    "XCO2, XCH4, XCO, XCH4_S5P, H2O, O2, CO2, CH4, CO, CH4_S5P"
)
DAY = 2459302.5  # Julian date of 2021-03-29T00


def proffast(path, count=4, **changes):
    """A table in the layout of PROFFAST 2.2, a spectrum every 15 s from 07:00."""
    lines = [NAMES]
    for i in range(count):
        second = 7 * 3600 + 15 * i
        clock = f"{second // 3600:02d}:{second % 3600 // 60:02d}:{second % 60:02d}"
        local = f"{second // 3600 + 2:02d}" + clock[2:]
        row = {
            "UTC": f"2021-03-29 {clock}", "LocalTime": f"2021-03-29 {local}", "spectrum": f"210329_{i}SN.BIN",
            "JulianDate": f"{DAY + second / 86400.0:.5f}", "gndP": f"{969.2 + i / 100:.2f}", "latdeg": "48.15100",
            "londeg": "11.56900", "altim": "539.000", "appSZA": f"{70 - i / 10:.2f}", "XAIR": f"{0.99 + i / 200:.5e}",
            "XCO2": f"{416.0 + i / 10:.5e}", "XCH4": f"{1.86 + i / 1000:.5e}",
        }  # fmt: skip
        row |= {k: v[i] for k, v in changes.items()}
        lines.append(", ".join(row.get(name, "1.0") for name in NAMES.split(", ")))
    path.write_text("\n".join(lines) + "\n")
    return path


def export(path, count=4):
    """A table in the layout of the merged export, two sites, one of which has no data in the second minute."""
    fields = ("app_sza", "azimuth", "gnd_p", "gnd_t", "xair", "xch4", "xch4_s5p", "xco", "xco2", "xh2o")
    lines = ["METADATA", "##########", ",".join(["utc", *(f"{s}_{f}" for s in ("ma", "me") for f in fields)])]
    for i in range(count):
        ma = [70.5, -35.0, 968.5, 274.5, 1.0005, 1.8785, 0.0, 0.0, 415.5 + i, 1137.0]
        ma = ["NaN"] * 10 if i == 1 else [str(v) for v in ma]
        me = [str(v) for v in (70.5, -35.0, 939.5, 274.5, 1.0005, 1.8785, 0.0, 0.0, 414.25 + i, 1137.0)]
        lines.append(",".join([f"2021-01-01 08:{46 + i}:00", *ma, *me]))
    path.write_text("\n".join(lines) + "\n")
    return path


# Lines of the files, read with an editor.
@pytest.mark.parametrize(
    ("name", "n", "first", "co2", "ch4", "place", "pressure", "sza", "serial"),
    [
        ("ma_SN061_20210329.csv", 2308, "2021-03-29T06:22:08", 416.258, 1861.73, (11.569, 48.151, 539.0), 969.22,
         76.76, "SN061"),
        ("mb_SN086_20210330.csv", 2057, "2021-03-30T06:20:07", 415.982, 1859.92, (11.73, 48.148, 536.0), 969.66,
         76.65, "SN086"),
        ("mc_SN115_20220602_proffast2.4.1_GGG2020.csv", 10, "2022-06-02T05:13:55", 420.051, 1884.95,
         (16.43848, 48.1477, 180.0), 998.2, 70.10, "SN115"),
    ],
)  # fmt: skip
def test_numbers_of_real_tables(real, name, n, first, co2, ch4, place, pressure, sza, serial):
    o = read_em27(real(f"munich_em27/{name}"))
    assert len(o) == n and set(o.groups) == {name[:2]} and set(o.instruments) == {serial} and o.unit == "ppm"
    assert str(o.start[0])[:19] == first and (o.start == o.end).all()
    assert o.values[0] == pytest.approx(co2, abs=1e-9) and o.scale == ""
    assert (o.lon[0], o.lat[0], o.altitude[0]) == place
    assert o.extra["surface_pressure"][0] == pytest.approx(pressure * 100.0) and o.extra["solzen"][0] == sza
    methane = read_em27(real(f"munich_em27/{name}"), "CH4")
    assert methane.values[0] == pytest.approx(ch4, abs=1e-9) and methane.unit == "ppb"


def test_nothing_is_invented(tmp_path):
    o = read_em27(proffast(tmp_path / "ma_SN061_20210329.csv"))
    assert o.vertical is None and o.components == ()
    assert any("not calibrated between instruments" in note for note in o.sources[0].notes)


def test_numbers_of_the_real_export(real):
    o = read_em27(real("munich_em27/muccnet_em27_export_20210101.csv"), places={"me": (11.6, 48.1, 600.0)})
    counts = dict(zip(*np.unique(o.groups, return_counts=True), strict=True))
    assert counts == {"ma": 100, "mb": 3, "mc": 35, "md": 85, "me": 215}
    row = int(np.flatnonzero(o.groups == "me")[0])
    assert str(o.start[row])[:19] == "2021-01-01T08:46:00" and str(o.end[row])[:19] == "2021-01-01T08:47:00"
    assert o.values[row] == pytest.approx(415.3426666666667, rel=1e-15)
    assert o.extra["surface_pressure"][row] == pytest.approx(93951.66666666668)
    assert o.lon[row] == 11.6 and np.isnan(o.lon[0])
    # 259 minutes at five sites
    assert o.steps[0].before == 5 * 259 and o.steps[0].dropped == (("not retrieved (0, NaN or no number)", 857),)


def test_local_time_is_not_used(tmp_path):
    o = read_em27(proffast(tmp_path / "ma_SN061_x.csv"))
    assert str(o.start[1])[:19] == "2021-03-29T07:00:15"
    shifted = [f"2021-03-29 09:00:{15 * i:02d}" for i in range(4)]
    with pytest.raises(TanhengError, match="UTC disagrees with the Julian date': 4"):
        read_em27(proffast(tmp_path / "ma_SN061_y.csv", UTC=shifted))


def test_rows_are_left_out_with_a_reason(tmp_path):
    path = proffast(
        tmp_path / "ma_SN061_x.csv", 5, XCO2=["0.00000e+00", "4.16e+02", "99", "4.17e+02", "4.18e+02"],
        gndP=["969.2", "969.2", "969.2", "96.9", "969.2"],
    )  # fmt: skip
    path.write_text(path.read_text() + "cut, line\n" + path.read_text().splitlines()[-1] + "\n")
    o = read_em27(path)
    assert o.values.tolist() == [416.0, 418.0] and o.steps[0].before == 7
    assert dict(o.steps[0].dropped) == {
        "line without 24 words": 1, "not retrieved (0, NaN or no number)": 1, "value outside 250…2000 ppm": 1,
        "ground pressure outside 300…1100 hPa": 1, "the same time twice": 1,
    }  # fmt: skip


def test_xair_is_a_filter_on_request(tmp_path):
    path = proffast(tmp_path / "ma_SN061_x.csv")  # XAIR 0.990, 0.995, 1.000, 1.005
    o = read_em27(path, xair=(0.994, 1.001))
    assert o.extra["xair"].tolist() == [0.995, 1.0] and o.steps[0].dropped == (("XAIR outside 0.994…1.001", 2),)
    assert len(read_em27(path)) == 4
    with pytest.raises(TanhengError, match=r"XAIR outside 0.9…1': 7"):  # 1.0005 in every row of the export
        read_em27(export(tmp_path / "export.csv"), xair=(0.9, 1.0))


def test_name_must_tell_the_instrument(tmp_path):
    path = proffast(tmp_path / "result.csv")
    with pytest.raises(TanhengError, match="neither site nor instrument"):
        read_em27(path)
    assert set(read_em27(path, site="xx", serial="039").instruments) == {"SN039"}
    assert set(read_em27(proffast(tmp_path / "comb_invparms_ma_SN061_210329-210329.csv")).groups) == {"ma"}
    with pytest.raises(TanhengError, match="no such species"):
        read_em27(path, "CO")


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("name", "make"), [("ma_SN061_20210329.csv", proffast), ("muccnet_export.csv", export)])
def test_fuzz_em27(tmp_path, name, make, count):
    (tmp_path / "in").mkdir()
    original = make(tmp_path / "in" / name)
    tally = fuzz(read_em27, original, (*TEXT, without_column(",")), count, tmp_path)
    print(name, tally)
    assert tally["refused"] > count / 8 and tally["same"] > 0
