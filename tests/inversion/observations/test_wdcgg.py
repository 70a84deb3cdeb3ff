"""WDCGG text files; generated after descriptions of the format, no real file was at hand."""

import numpy as np
import pytest

from inversion.observations.readers.wdcgg import read_wdcgg
from tests.inversion.observations import fuzz
from transport.errors import TanhengError

NAMES = (
    "site_gaw_id year month day hour minute second year month day hour minute second value value_unc nvalue latitude "
    "longitude altitude elevation intake_height flask_no ORG_QCflag QCflag instrument measurement_method scale"
)


def wdcgg(
    path,
    zone="8",
    lon=116.96,
    project="surface-insitu",
    ends=False,
    tag="hourly",
    unit="ppm",
    comment="",
    scale="WMO_CO2_X2019",
):
    """Four hours from 00:00 of 2020-01-01 in the station's own time: background, local, invalid, missing."""
    keys = {
        "site_gaw_id": "SDZ", "site_lst2utc": zone, "dataset_parameter": "co2", "dataset_project": project,
        "dataset_selection_tag": tag, "contributor_citation": "Cite the station.", "value:units": unit,
        "value_unc:comment": comment,
    }  # fmt: skip
    rows = [(0, 420.5, 0.1, 1), (1, 450.25, 0.2, 2), (2, 700.0, 0.1, 3), (3, -999.999, -999.999, 1)]
    table = [
        f"SDZ 2020 01 01 {h:02d} 00 00 "
        + (f"2020 01 01 {h + 1:02d} 00 00" if ends else "-999 -9 -9 -9 -9 -9")
        + f" {v:.3f} {u:.3f} -999 40.650 {lon:.3f} 293.3 287.0 6.3 -999.999 U {q} 9 10 {scale}"
        for h, v, u, q in rows
    ]
    lines = [*(f"# {k} : {v}" for k, v in keys.items()), f"# {NAMES}"]
    path.write_text("\n".join([f"# header_lines : {len(lines) + 1}", *lines, *table]) + "\n")
    return path


@pytest.mark.parametrize(
    ("zone", "lon", "start"),
    [
        ("8", 116.96, "2019-12-31T16:00"),
        ("-8", 116.96, "2019-12-31T16:00"),  # the other sign: the sun knows that China is ahead of UTC
        ("-10", -155.576, "2020-01-01T10:00"),
        ("5.75", 86.8, "2019-12-31T18:15"),
        ("UTC", 116.96, "2020-01-01T00:00"),
    ],
)
def test_trap_01_local_times_become_utc(tmp_path, zone, lon, start):
    o = read_wdcgg(wdcgg(tmp_path / "a.txt", zone=zone, lon=lon))
    assert str(o.start[0])[:16] == start and o.end[0] - o.start[0] == np.timedelta64(1, "h")


def test_trap_01_a_time_zone_that_cannot_be_is_refused(tmp_path):
    for zone in ("1", "soon", ""):
        with pytest.raises(TanhengError, match=r"time zone|site_lst2utc"):
            read_wdcgg(wdcgg(tmp_path / "a.txt", zone=zone))


def test_values_flags_and_places(tmp_path):
    o = read_wdcgg(wdcgg(tmp_path / "a.txt"))
    assert o.values.tolist() == [420.5, 450.25] and o.flags.tolist() == ["1", "2"] and o.sigma.tolist() == [0.1, 0.2]
    assert o.steps[0].dropped == (("QCflag 3 (invalid)", 1), ("missing value", 1))
    assert o.scale == "WMO CO2 X2019" and np.isnan(o.extra["nvalue"]).all() and set(o.groups) == {"SDZ"}
    assert (o.height[0], o.altitude[0], o.lat[0], o.lon[0]) == (6.3, 293.3, 40.65, 116.96)
    assert o.sources[0].attribution == "Cite the station."


def test_scales_may_hold_blanks(tmp_path):
    assert read_wdcgg(wdcgg(tmp_path / "a.txt", scale="WMO CO2 X2007")).scale == "WMO CO2 X2007"
    assert read_wdcgg(wdcgg(tmp_path / "a.txt", scale="-9")).scale == ""


def test_intervals(tmp_path):
    hour = np.timedelta64(1, "h")
    given = read_wdcgg(wdcgg(tmp_path / "a.txt", ends=True, tag="x"))
    assert (given.end - given.start == hour).all()
    daily = read_wdcgg(wdcgg(tmp_path / "b.txt", tag="daily"))
    assert (daily.end - daily.start == 24 * hour).all()
    monthly = read_wdcgg(wdcgg(tmp_path / "c.txt", tag="monthly"))
    assert str(monthly.end[0])[:16] == "2020-01-31T16:00"
    flask = read_wdcgg(wdcgg(tmp_path / "d.txt", project="surface-flask", tag="event"))
    assert (flask.end == flask.start).all() and set(flask.kinds) == {"flask"}
    with pytest.raises(TanhengError, match="averaging interval"):
        read_wdcgg(wdcgg(tmp_path / "e.txt", tag="x"))


def test_trap_02_units_are_those_of_the_header(tmp_path):
    with pytest.raises(TanhengError, match="cannot be CO2"):
        read_wdcgg(wdcgg(tmp_path / "a.txt", unit="ppb"))
    with pytest.raises(TanhengError, match="value:units"):
        read_wdcgg(wdcgg(tmp_path / "a.txt", unit=""))


def test_trap_04_standard_deviations_are_not_uncertainties(tmp_path):
    o = read_wdcgg(wdcgg(tmp_path / "a.txt", comment="Standard deviation of the mean"))
    assert np.isnan(o.sigma).all() and o.extra["std_dev"].tolist() == [0.1, 0.2]


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("ends", [False, True])
def test_fuzz_wdcgg(tmp_path, count, ends):
    (tmp_path / "fuzzed").mkdir()
    mutations = (*fuzz.TEXT, fuzz.without_column(None))
    tally = fuzz.fuzz(read_wdcgg, wdcgg(tmp_path / "a.txt", ends=ends), mutations, count, tmp_path / "fuzzed")
    assert tally["refused"] > count // 5, tally
    print(tally)
