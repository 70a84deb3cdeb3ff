"""Hourly files of the US EPA: local standard time, short tons, empty hours, substitutes."""

import numpy as np
import pytest

from priors.campd import read_campd, read_campd_facilities
from priors.cems import reported_emissions
from priors.series import Influence
from priors.synthetic_monitoring import campd_text
from priors.totals import total
from tests.inversion.observations import fuzz as damage
from tests.priors.fuzz_series import fuzz, unlike_series
from transport.errors import TanhengError

TONS = [500.0, 510.0, 480.0, None, 0.0, 450.0, 505.5, 499.9]
WORDS = ["Measured", "Measured", "Substitute", "", "Calculated", "Measured and Substitute", "LME", "Measured"]


def write(tmp_path, text, name="campd.csv"):
    file = tmp_path / name
    file.write_text(text)
    return file


def unit(file, offset=-6.0):
    return read_campd(file, offset)["3", "1"]


def test_short_tons_and_local_standard_time(tmp_path):
    s = unit(write(tmp_path, campd_text(TONS, WORDS)))
    assert s.times[0] == np.datetime64("2021-01-01T06:00:00")  # hour 0 of UTC−6
    assert s.values["mass"][0] == pytest.approx(500 * 907.18474 / 3600)  # 125.998 kg s-1
    assert s.values["mass"][0] == pytest.approx(125.998, abs=1e-3)
    assert s.status.tolist() == ["measured", "measured", "substitute", "off", "calculated", "substitute", "substitute",
                                 "measured"]  # fmt: skip
    assert s.sources[0].notes == ("0 of 7 masses differ from rate × heat input by more than 2 %",)
    e = reported_emissions(s, [Influence("mass", "relative accuracy", 0.03, shared="half-year"),
                               Influence("mass", "substitution", 0.15, status="substitute")])  # fmt: skip
    t = total([e], s.times[0], s.times[-1])
    kg = 907.18474
    assert t.mass == pytest.approx(kg * sum(x or 0 for x in TONS))  # the unit stood still in one hour: zero
    assert t.u == pytest.approx(kg * np.sqrt((0.03 * 2945.4) ** 2 + 0.15**2 * (480**2 + 450**2 + 505.5**2)))


def test_every_half_year_has_its_audit(tmp_path):
    n = 24 * 365
    s = unit(write(tmp_path, campd_text([100.0] * n, ["Measured"] * n)))
    names, counts = np.unique(s.labels["half-year"], return_counts=True)
    assert names.tolist() == ["3/1 2021-H1", "3/1 2021-H2"]
    assert counts.tolist() == [181 * 24, 184 * 24]


def test_older_names_and_dates(tmp_path):
    text = "STATE,FACILITY_NAME,ORISPL_CODE,UNITID,OP_DATE,OP_HOUR,OP_TIME,CO2_MASS (tons),CO2_MASS_MEASURE_FLG\n"
    s = unit(write(tmp_path, text + "AL,B,3,1,07-04-2015,13,0.5,10,Measured\n"), -6.0)
    assert s.times[0] == np.datetime64("2015-07-04T19:00:00")  # no summer time
    assert s.values["mass"][0] == pytest.approx(10 * 907.18474 / 3600)  # of the hour, though it ran for half of it
    assert "no CO2 rate" in s.sources[0].notes[0]


def test_units_and_their_clocks(tmp_path):
    one = campd_text([1.0, 2.0], ["Measured"] * 2).splitlines()
    other = [line.replace(",3,1,", ",8,2A,") for line in one[1:]]
    file = write(tmp_path, "\n".join([*one, *other]))
    found = read_campd(file, {"3": -6.0, "8": -5.0})
    assert {k: str(s.times[0]) for k, s in found.items()} == {("3", "1"): "2021-01-01T06:00:00",
                                                              ("8", "2A"): "2021-01-01T05:00:00"}  # fmt: skip
    with pytest.raises(TanhengError, match="clock of facility 8"):
        read_campd(file, {"3": -6.0})


@pytest.mark.parametrize(("change", "match"), [
    (lambda t: t.replace("(short tons)", "(metric tons)"), "CO2 Mass"),
    (lambda t: t.replace("1.00,485", "1.50,485"), "operating time"),
    (lambda t: t.replace(",500.000,M", ",-500.000,M"), "short tons"),
    (lambda t: t.replace("1.00,485", "0.00,485"), "without operation"),
    (lambda t: t.replace("1.00,485", ",485"), "without operation"),
    (lambda t: t.replace("LME", "Guessed"), "Guessed"),
    (lambda t: t.replace("2021-01-01,7", "2021-01-01,6"), "hours that follow"),
    (lambda t: t.replace("2021-01-01,7", "2021-01-01,24"), "hour"),
    (lambda t: t.replace("2021-01-01,7", "2021-02-30,7"), "row 8: '2021-02-30', hour '7'"),
    (lambda t: t.replace(",0.103,", ",0.0934,"), "rate × heat"),  # tonnes per mmBtu
])  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path, change, match):
    text = campd_text(TONS, WORDS)
    assert change(text) != text
    with pytest.raises(TanhengError, match=match):
        unit(write(tmp_path, change(text)))


def test_an_operating_hour_without_mass_is_missing(tmp_path):
    s = unit(write(tmp_path, campd_text(TONS, WORDS).replace("485,500.000", "485,")))
    assert s.status[0] == "missing"
    assert np.isnan(s.values["mass"][0])
    # The fourth hour says 0.00 and stands still; without operating time nobody knows.
    assert s.status[3] == "off"
    assert unit(write(tmp_path, campd_text(TONS, WORDS).replace("3,0.00,", "3,,"))).status[3] == "missing"
    for offset in (6.0, 0.0, -12.0):  # the sign is the trap
        with pytest.raises(TanhengError, match="clock of facility 3"):
            unit(write(tmp_path, campd_text(TONS, WORDS)), offset)


def test_facilities(tmp_path):
    head, row = "State,Facility ID,Unit ID,Year,Latitude,Longitude\n", "AL,3,1,2021,31.0069,-88.0103\n"
    text = head + row + row.replace("2021", "2022")
    file = write(tmp_path, text, "facilities.csv")
    place = read_campd_facilities(file, {("3", "1"): 150.0})["3", "1"]
    assert (place.lon, place.lat, place.height) == (-88.0103, 31.0069, 150.0)
    with pytest.raises(TanhengError, match="no place"):
        read_campd_facilities(file, {})
    with pytest.raises(TanhengError, match="no place"):
        read_campd_facilities(write(tmp_path, text.replace("-88", "88"), "east.csv"), {("3", "1"): 150.0})
    with pytest.raises(TanhengError, match="two places"):
        read_campd_facilities(write(tmp_path, text.replace("2022,31", "2022,32"), "b.csv"), {("3", "1"): 150.0})
    feet = text.replace("Longitude", "Longitude,Stack Height (ft)").replace("-88.0103", "-88.0103,600")
    assert read_campd_facilities(write(tmp_path, feet, "c.csv"), {})["3", "1"].height == pytest.approx(182.88)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_campd(tmp_path, count):
    file = write(tmp_path, campd_text(TONS * 2, WORDS * 2))

    def alike(got, whole):
        if set(got) != set(whole):
            return f"units {sorted(got)}"
        return next((d for k in got if (d := unlike_series(got[k], whole[k]))), None)

    tally = fuzz(lambda f: read_campd(f, -6.0), alike, file, [*damage.TEXT, damage.without_column(",")], count,
                 tmp_path)  # fmt: skip
    print(tally)
    assert tally["refused"] > count // 4
