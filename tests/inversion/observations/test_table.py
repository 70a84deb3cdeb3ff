"""Declared tables: maps in YAML for the real CSV files at hand, and what a map may not leave open."""

from pathlib import Path

import numpy as np
import pytest

from inversion.observations.readers.table import ColumnMap, read_table
from tests.inversion.observations import fuzz
from transport.errors import TanhengError

# gmp343_corrected = gmp343_dry · slope + intercept in the code that wrote the file (tum-esm/ACROPOLIS-data-processing):
# dry already, though the column h2o_v% beside it invites to dry it again. The same code labels minutes by their start
# and adds 30 s for the portal.
ACROPOLIS = """
species: CO2
unit: ppm
air: dry
scale: unknown
stamp: start
window: 60
uncertainty: {}
value: gmp343_corrected
time: creation_timestamp
time_format: "%Y-%m-%dT%H:%M:%S.%f%z"
group: BLU
kind: tower
height: measurement_height
instrument: system_id
notes:
  - corrected values are of dry air according to the code of their makers; the file does not say so
"""
SVARTBERGET = """
species: CO2
unit: ppm
air: dry
scale: unknown
stamp: start
window: 3600
uncertainty: {}
value: co2
time: DateTime
group: SVB
kind: tower
lon: 19.775
lat: 64.256
height: SamplingHeight
instrument: InstrumentId
notes:
  - hourly means of dry air in ppm, labelled by their start, as in ICOS releases; the file states none of this
"""
MAUNA_LOA = """
species: CO2
unit: ppm
air: dry
scale: unknown
stamp: middle
window: 604800
uncertainty: {}
value: co2
time: date
time_format: "%Y%m%d"
group: MLO
kind: tower
notes: [weekly means; the file does not say what its dates label]
"""
WET = """
species: CO2
unit: ppm
air: wet
scale: unknown
stamp: end
window: 600
utc_offset: 2
uncertainty: {repeatability: 1.5, calibration: u_cal}
value: c
time: t
group: ROOF
kind: tower
humidity: h2o
humidity_unit: "%"
flag: q
keep: [ok]
"""
TABLE = """t,c,h2o,u_cal,q
2024-06-01T12:10:00,400.0,2.0,0.5,ok
2024-06-01T12:20:00,410.0,1.0,0.5,ok
2024-06-01T12:30:00,420.0,,0.5,ok
2024-06-01T12:40:00,430.0,1.5,0.5,bad
2024-06-01T12:50:00,0.0,1.5,0.5,ok
2024-06-01T13:00:00+00:00,440.0,25.0,,ok
2024-06-01T15:10:00,405.0,0.0,,ok
"""


def load(folder, text):
    (folder / "map.yaml").write_text(text, "utf-8")
    return ColumnMap.load(folder / "map.yaml")


def wet(folder, table=TABLE, text=WET):
    (folder / "a.csv").write_text(table, "utf-8")
    return read_table(folder / "a.csv", load(folder, text))


def test_wet_air_is_dried_with_its_own_humidity(tmp_path):
    o = wet(tmp_path)
    np.testing.assert_allclose(o.values, [400.0 / 0.98, 410.0 / 0.99, 405.0], rtol=1e-14)
    np.testing.assert_allclose([c.sigma[0] for c in o.components], [1.5 / 0.98, 0.5 / 0.98], rtol=1e-14)
    assert [c.cause for c in o.components] == ["repeatability", "calibration"]
    assert o.steps[0].dropped == (("humidity missing or impossible", 2), ("flag bad", 1), ("missing value", 1))
    assert "wet air" in o.sources[0].notes[0]


def test_the_map_of_the_documentation_is_one(tmp_path):
    page = Path(__file__).parents[3] / "docs" / "observations_towers.md"
    columns = load(tmp_path, page.read_text("utf-8").split("```yaml")[1].split("```")[0])
    assert columns.air == "wet" and columns.uncertainty == {"repeatability": 1.5, "calibration": "u_cal"}


def test_trap_01_stamp_and_time_zone_are_declared(tmp_path):
    o = wet(tmp_path)
    assert [str(o.start[0])[:19], str(o.end[0])[:19]] == ["2024-06-01T10:00:00", "2024-06-01T10:10:00"]
    own = wet(tmp_path, table=TABLE.replace("12:10:00,", "12:10:00Z,"))  # a zone in the file goes first
    assert str(own.end[0])[:19] == "2024-06-01T12:10:00"
    start = wet(tmp_path, text=WET.replace("stamp: end", "stamp: start"))
    assert str(start.start[0])[:19] == "2024-06-01T10:10:00"


@pytest.mark.parametrize("field", ["unit", "air", "scale", "stamp", "window", "uncertainty", "value", "time"])
def test_every_file_declares(tmp_path, field):
    text = "\n".join(line for line in ACROPOLIS.splitlines() if not line.startswith(f"{field}:"))
    with pytest.raises(TanhengError, match="not a map of columns") as error:
        load(tmp_path, text)
    assert f"missing: {field}" in str(error.value.got)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("air: wet", "air: moist", "air of a column map"),
        ("air: wet", "air: dry", "contradicts itself"),
        ("humidity: h2o\n", "", "contradicts itself"),
        ("stamp: end", "stamp: instant", "contradicts itself"),
        ("window: 600", "window: long", "not a map"),
        ("window: 600", "window: -1", "contradicts itself"),
        ("{repeatability: 1.5, calibration: u_cal}", "{luck: 1}", "cause of uncertainty"),
        ("{repeatability: 1.5, calibration: u_cal}", "3", "not a map"),
        ("kind: tower", "kind: balloon", "kind of a column map"),
        ("keep: [ok]", "", "contradicts itself"),
        ("value: c", "value: co2", "no column co2"),
        ("unit: ppm", "unit: ppb", "cannot be CO2"),
        ('humidity_unit: "%"', 'humidity_unit: "1"', "humidities"),
        ("species: CO2", "species: [", "not a map"),
        ("species: CO2", "color: red\nspecies: CO2", "not a map"),
        ("group: ROOF", "group: 5", "not a map"),
        ("utc_offset: 2", "utc_offset: 20", "contradicts itself"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused(tmp_path, old, new, what):
    assert old in WET
    with pytest.raises(TanhengError, match=what):
        wet(tmp_path, text=WET.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"), [("12:20:00", "25:20:00"), ("410.0", "4x"), ("0.5,ok", "ok"), ("2024", "0024")]
)
def test_a_damaged_line_is_refused(tmp_path, old, new):
    with pytest.raises(TanhengError):
        wet(tmp_path, table=TABLE.replace(old, new, 1))


def test_munich_roof(real, tmp_path):
    o = read_table(real("munich_acropolis/ACROPOLIS_Blutenburgstrasse.csv"), load(tmp_path, ACROPOLIS))
    # Lines 2, 3 and 5077: 520.9570282495147 and 491.36695411619047 at 85 m (system 7), 435.1309024110464 at 48 m (14)
    np.testing.assert_allclose(o.values[[0, 1, -1]], [520.9570282495147, 491.36695411619047, 435.1309024110464])
    assert o.height[[0, 1, -1]].tolist() == [85.0, 85.0, 48.0] and o.instruments[[0, -1]].tolist() == ["7", "14"]
    assert [str(o.start[0])[:19], str(o.end[0])[:19]] == ["2024-06-21T12:05:00", "2024-06-21T12:06:00"]
    # cut -d, -f8 | sort | uniq -c: 2533 at 85 m, 2543 at 48 m
    assert len(o) == 5076 and (o.height == 85.0).sum() == 2533 and np.isnan(o.sigma).all()


def test_svartberget(real, tmp_path):
    o = read_table(real("obspack_and_flask/icos_svb_co2.csv"), load(tmp_path, SVARTBERGET))
    # Lines 2, 3 and 15641: 413.194, 413.73400000000004, 416.115
    np.testing.assert_allclose(o.values[[0, 1, -1]], [413.194, 413.734, 416.115], rtol=1e-12)
    assert len(o) == 15640 and o.scale == "" and set(o.instruments) == {"464"} and set(o.height) == {150.0}
    assert str(o.start[-1])[:19] == "2019-04-30T23:00:00" and str(o.end[-1])[:19] == "2019-05-01T00:00:00"


def test_mauna_loa_weeks(real, tmp_path):
    o = read_table(real("obspack_and_flask/mauna_loa_weekly_co2_statsmodels.csv"), load(tmp_path, MAUNA_LOA))
    # Lines 2, 3 and 2285: 19580329 316.1, 19580405 317.3, 20011229 371.5; 59 lines end in a comma
    np.testing.assert_allclose(o.values[[0, 1, -1]], [316.1, 317.3, 371.5], rtol=1e-12)
    assert str(o.start[0])[:19] == "1958-03-25T12:00:00" and str(o.end[0])[:19] == "1958-04-01T12:00:00"
    assert len(o) == 2284 - 59 and o.steps[0].dropped == (("missing value", 59),)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_table(tmp_path, count):
    (tmp_path / "fuzzed").mkdir()
    (tmp_path / "a.csv").write_text(TABLE, "utf-8")
    columns = load(tmp_path, WET)
    mutations = (*fuzz.TEXT, fuzz.without_column(","))
    tally = fuzz.fuzz(lambda p: read_table(p, columns), tmp_path / "a.csv", mutations, count, tmp_path / "fuzzed")
    assert tally["refused"] > count // 5, tally
    print(tally)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_column_map(tmp_path, count):
    (tmp_path / "a.csv").write_text(TABLE, "utf-8")
    path = tmp_path / "map.yaml"
    for i in range(count):
        path.write_text(WET, "utf-8")
        rng = np.random.default_rng(i)
        fuzz.TEXT[i % len(fuzz.TEXT)](rng, path)
        try:
            read_table(tmp_path / "a.csv", ColumnMap.load(path))
        except TanhengError as error:
            assert error.remedy  # noqa: PT017
