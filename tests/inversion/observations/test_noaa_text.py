"""NOAA text files in both header styles; generated after the descriptions of the format, no real file was at hand."""

import numpy as np
import pytest

from inversion.observations.readers.noaa_text import read_noaa_text
from tests.inversion.observations import fuzz
from transport.errors import TanhengError

EVENT_NAMES = (
    "sample_site_code sample_year sample_month sample_day sample_hour sample_minute sample_seconds sample_id "
    "sample_method parameter_formula analysis_group_abbr analysis_value analysis_uncertainty analysis_flag "
    "analysis_instrument analysis_year analysis_month analysis_day analysis_hour analysis_minute analysis_seconds "
    "sample_latitude sample_longitude sample_altitude sample_elevation sample_intake_height event_number"
)
HOUR_NAMES = (
    "site_code year month day hour minute second time_decimal value value_std_dev nvalue latitude longitude altitude "
    "elevation intake_height qcflag"
)


def event(path, prose=("Dry air mole fractions in nanomol mol-1 (ppb) on the NOAA 2004A scale.",)):
    """Flasks: a pair at one time, one not background, one rejected, one missing."""
    rows = [(1, 1850.25, 1.5, "..."), (1, 1850.75, 1.5, "..."), (2, 1900.5, -999.99, ".C."), (3, 5000.0, 1.5, "A.."),
            (4, -999.99, -999.99, "*..")]  # fmt: skip
    table = [
        f"CGO 2012 05 0{d} 23 15 30 {100 + i}-99 N ch4 ccgg {v:.2f} {u:.2f} {f} H4 2012 06 01 10 00 00 -40.6830 "
        f"144.6900 164.00 94.00 70.00 {i}"
        for i, (d, v, u, f) in enumerate(rows)
    ]
    header = [*(f"# {p}" for p in prose), "#", f"# data_fields: {EVENT_NAMES}"]
    path.write_text("\n".join([f"# number_of_header_lines: {len(header) + 1}", *header, *table]) + "\n")
    return path


def hourly(path, comment="Time-averaged values are reported at the beginning of the averaging interval.", **changes):
    """Hours at Mauna Loa with the header of 2020; names in the last header line, without '#'."""
    keys = {
        "site_code": "MLO", "site_utc2lst": "-10.0", "dataset_parameter": "co2", "dataset_project": "surface-insitu",
        "dataset_calibration_scale": "WMO CO2 X2007", "dataset_data_frequency": "1",
        "dataset_data_frequency_unit": "hour",
    } | changes  # fmt: skip
    header = [
        "#", "# DATA SET NAME", "#", "# dataset_name: co2_mlo_surface-insitu_1_ccgg_HourlyData",
        "# dataset_fair_use: Tell NOAA.", *(f"# {k} : {v}" for k, v in keys.items()), "# VARIABLE ATTRIBUTES", "#",
        f"# time_components:comment : Times and dates are UTC. {comment}", "# value:_FillValue : -999.999",
        f"# value:units : {changes.get('unit', 'micromol mol-1')}", HOUR_NAMES,
    ]  # fmt: skip
    rows = [
        (0, 405.25, 0.3, 40, "..."),
        (1, 406.5, -99.99, -9, ".D."),
        (2, -999.999, -99.99, -9, "*.."),
        (3, 404.75, 0.2, 38, "..P"),
    ]
    table = [
        f"MLO 2019 01 01 {h:02d} 00 00 2019.0 {v:.3f} {s:.2f} {n} 19.536 -155.576 3437.0 3397.0 40.0 {f}"
        for h, v, s, n, f in rows
    ]
    path.write_text("\n".join([f"# header_lines : {len(header) + 1}", *header, *table]) + "\n")
    return path


def test_trap_01_flasks_are_instants_and_hours_start_at_their_label(tmp_path):
    flask, hour = read_noaa_text(event(tmp_path / "a.txt")), read_noaa_text(hourly(tmp_path / "b.txt"))
    assert str(flask.start[0])[:19] == "2012-05-01T23:15:30" and (flask.start == flask.end).all()
    assert [str(hour.start[0])[:19], str(hour.end[0])[:19]] == ["2019-01-01T00:00:00", "2019-01-01T01:00:00"]
    assert (flask.sources[0].stamp, hour.sources[0].stamp) == ("instant", "start")
    middle = read_noaa_text(hourly(tmp_path / "c.txt", comment="reported at the middle of the interval"))
    assert str(middle.start[0])[:19] == "2018-12-31T23:30:00"


def test_events(tmp_path):
    o = read_noaa_text(event(tmp_path / "a.txt"))
    assert o.values.tolist() == [1850.25, 1850.75, 1900.5] and o.flags.tolist() == ["...", "...", ".C."]
    np.testing.assert_array_equal(o.sigma, [1.5, 1.5, np.nan])
    assert o.steps[0].dropped == (("rejected by its flag", 2),)
    assert o.scale == "WMO CH4 X2004A" and set(o.kinds) == {"flask"} and set(o.instruments) == {"H4"}
    assert (o.lon[0], o.lat[0], o.height[0], o.altitude[0]) == (144.69, -40.683, 70.0, 164.0)
    assert "1 rows are valid but not background" in o.sources[0].notes[0]


def test_a_header_without_unit_or_scale_is_said(tmp_path):
    o = read_noaa_text(event(tmp_path / "a.txt", prose=("Methane.",)))
    assert o.values[0] == 1850.25 and o.scale == ""
    assert "states no unit: ppb" in o.sources[0].notes[0] and "no calibration scale" in o.sources[0].notes[1]


def test_hours(tmp_path):
    o = read_noaa_text(hourly(tmp_path / "a.txt"))
    assert o.values.tolist() == [405.25, 406.5, 404.75] and o.unit == "ppm" and o.scale == "WMO CO2 X2007"
    np.testing.assert_array_equal(o.extra["std_dev"], [0.3, np.nan, 0.2])
    np.testing.assert_array_equal(o.extra["nvalue"], [40, np.nan, 38])
    assert np.isnan(o.sigma).all() and o.sources[0].attribution == "Tell NOAA."
    assert (o.height[0], o.altitude[0], o.lon[0]) == (40.0, 3437.0, -155.576) and set(o.kinds) == {"tower"}


def test_trap_04_standard_deviations_are_not_uncertainties(tmp_path):
    path = hourly(tmp_path / "a.txt")
    text = path.read_text().replace("value_std_dev", "value_unc")
    path.write_text(text)
    np.testing.assert_array_equal(read_noaa_text(path).sigma, [0.3, np.nan, 0.2])
    path.write_text(text.replace("# value:_FillValue : -999.999", "# value_unc:comment : the standard deviation"))
    o = read_noaa_text(path)
    assert np.isnan(o.sigma).all() and o.extra["std_dev"][0] == 0.3


def test_names_may_stand_below_the_header(tmp_path):
    path = hourly(tmp_path / "a.txt")
    first, rest = path.read_text().split("\n", 1)
    path.write_text(f"# header_lines : {int(first.split()[-1]) - 1}\n{rest}")
    assert read_noaa_text(path).values.tolist() == [405.25, 406.5, 404.75]


def test_traps_02_and_03_units_and_fills(tmp_path):
    with pytest.raises(TanhengError, match="cannot be CO2"):
        read_noaa_text(hourly(tmp_path / "a.txt", unit="nanomol mol-1"))
    with pytest.raises(TanhengError, match="unit that is not known"):
        read_noaa_text(hourly(tmp_path / "b.txt", unit="permil"))
    assert read_noaa_text(hourly(tmp_path / "c.txt")).steps[0].dropped == (("rejected by its flag", 1),)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"dataset_parameter": "sf6"}, "species"),
        ({"dataset_project": "balloon"}, "platform"),
        ({"dataset_data_frequency": "often"}, "averaging interval"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, changes, what):
    with pytest.raises(TanhengError, match=what):
        read_noaa_text(hourly(tmp_path / "a.txt", **changes))


@pytest.mark.parametrize("more", [-2, 1, 3])
def test_a_header_of_another_length_is_refused(tmp_path, more):
    path = hourly(tmp_path / "a.txt")
    first, rest = path.read_text().split("\n", 1)
    path.write_text(f"# header_lines : {int(first.split()[-1]) + more}\n{rest}")
    with pytest.raises(TanhengError, match="header that its first line announces"):
        read_noaa_text(path)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("form", [event, hourly])
def test_fuzz_noaa_text(tmp_path, count, form):
    (tmp_path / "fuzzed").mkdir()
    mutations = (*fuzz.TEXT, fuzz.without_column(None))
    tally = fuzz.fuzz(read_noaa_text, form(tmp_path / "a.txt"), mutations, count, tmp_path / "fuzzed")
    assert tally["refused"] > count // 5, tally
    print(tally)
