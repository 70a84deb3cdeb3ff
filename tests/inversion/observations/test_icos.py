"""ICOS text files: scales by instrument, flags by their stated meaning, stamps, on a real file and generated ones."""

import numpy as np
import pytest

from inversion.observations.readers.icos import read_icos
from tests.inversion.observations import fuzz
from transport.errors import TanhengError

HPB = "munich_acropolis/ICOS_ATC_NRT_HPB_2024-04-01_2025-06-25_50.0_1516.CO2"
COMMENTS = (
    "  - Times are UTC",
    "  - Time-averaged values are reported at the beginning of the averaging interval.",
    "  - Flag 'U' = data correct before manual quality control",
    "  - Flag 'N' = data incorrect before manual quality control",
    "  - Flag 'O' = data correct after manual quality control",
    "  - Flag 'K' = data incorrect after manual quality control",
)
NAMES = (
    "#Site;SamplingHeight;Year;Month;Day;Hour;Minute;DecimalDate;co2;Stdev;NbPoints;Flag;InstrumentId;QualityId;LTR;CMR;"
    "STTB;QcBias;QcBiasUncertainty;co2-WithoutSpikes;Stdev-WithoutSpikes;NbPoints-WithoutSpikes"
)
# hour, value, flag, instrument
ROWS = ((0, 415.25, "O", 59), (1, 416.5, "U", 473), (2, 999.0, "N", 59), (3, 417.75, "R", 59), (4, -999.99, "O", 82),
        (5, 418.5, "H", 59))  # fmt: skip


def icos(
    path, comments=COMMENTS, scale="59: WMO CO2 X2019; 473: WMO CO2 X2007", unit="µmol.mol-1", rows=ROWS, **header
):
    """A level 2 file as ICOS writes it, with two instruments and a gap."""
    keys = {
        "TITLE": "CO2 - ICOS ATC final data", "FILE NAME": path.name, "STATION CODE": "TST", "LATITUDE": "47.8011 N",
        "LONGITUDE": "11.0246 W", "ALTITUDE": "934 m asl", "PARAMETER": "CO2", "TIME INTERVAL": "hourly",
        "MEASUREMENT UNIT": unit, "TIME ZONE": "UTC +1", "MEASUREMENT SCALE": scale, "DATA POLICY": "CC BY 4.0",
    } | header  # fmt: skip
    lines = [f"# {k}: {v}" for k, v in keys.items()]
    lines += ["# COMMENT:", *(f"# {c}" for c in comments), "#"]
    count = len(lines) + 3
    lines.insert(2, f"# HEADER LINES: {count}")
    lines.insert(2, f"# TOTAL LINES: {count + len(rows)}")
    table = [
        f"TST;90.0;2024;04;01;{h:02d};00;2024.24;{v:.3f};0.592;12;{f};{i};2610;0.016;0.022;0.002;-0.010;0.030;"
        f"{v - 0.1:.3f};0.5;11"
        for h, v, f, i in rows
    ]
    path.write_text("\n".join([*lines, NAMES, *table]) + "\n", "utf-8")
    return path


def test_trap_01_hours_are_labelled_by_their_start(tmp_path):
    o = read_icos(icos(tmp_path / "a.CO2"))
    assert [str(o.start[0])[:19], str(o.end[0])[:19]] == ["2024-04-01T00:00:00", "2024-04-01T01:00:00"]
    assert o.sources[0].stamp == "start"


def test_trap_01_a_network_that_copies_the_layout_but_labels_the_middle(tmp_path):
    comments = [c.replace("beginning", "middle") for c in COMMENTS]
    o = read_icos(icos(tmp_path / "a.CO2", comments=comments))
    assert str(o.start[0])[:19] == "2024-03-31T23:30:00" and o.sources[0].stamp == "middle"


def test_trap_05_the_scale_is_that_of_the_instrument(tmp_path):
    o = read_icos(icos(tmp_path / "a.CO2"))
    assert o.instruments.tolist() == ["59", "473", "59"]
    assert o.scales.tolist() == ["WMO CO2 X2019", "WMO CO2 X2007", "WMO CO2 X2019"]
    unknown = read_icos(icos(tmp_path / "b.CO2", scale="59: WMO CO2 X2019; 473: Unknown"))
    assert unknown.scales.tolist() == ["WMO CO2 X2019", "", "WMO CO2 X2019"]
    assert any("no calibration scale is stated for instruments 473" in n for n in unknown.sources[0].notes)


def test_flags_and_the_dummy_instrument(tmp_path):
    o = read_icos(icos(tmp_path / "a.CO2"))
    np.testing.assert_allclose(o.values, [415.25, 416.5, 417.75], rtol=1e-12)
    assert o.flags.tolist() == ["O", "U", "R"]
    assert o.steps[0].dropped == (("gap filled with a dummy (instrument 82)", 1), ("flag H", 1), ("flag N", 1))


def test_the_meaning_of_a_flag_is_that_of_the_header(tmp_path):
    own = [*COMMENTS, "  - Flag 'H' = data correct, Hampel filter", "  - Flag 'R' = possible local contamination"]
    o = read_icos(icos(tmp_path / "a.CO2", comments=own))
    assert o.flags.tolist() == ["O", "U", "H"]


def test_uncertainties(tmp_path):
    o = read_icos(icos(tmp_path / "a.CO2"))
    np.testing.assert_allclose([c.sigma[0] for c in o.components], [0.022, 0.016], rtol=1e-12)
    assert [c.cause for c in o.components] == ["repeatability", "calibration"]
    assert o.components[1].groups.tolist() == ["59 2024-04", "473 2024-04", "59 2024-04"]
    extra = {k: float(v[0]) for k, v in o.extra.items()}
    assert extra == pytest.approx({
        "std_dev": 0.592, "nvalue": 12, "without_spikes": 415.15, "short_term_target_bias": 0.002,
        "quality_control_bias": -0.01, "quality_control_bias_uncertainty": 0.03,
    })  # fmt: skip


def test_places(tmp_path):
    o = read_icos(icos(tmp_path / "a.CO2"))
    assert (o.lat[0], o.lon[0], o.height[0], o.altitude[0]) == (47.8011, -11.0246, 90.0, 1024.0)
    assert set(o.groups) == {"TST"} and o.sources[0].attribution == "CC BY 4.0"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"unit": "ppq"}, "unit"),
        ({"PARAMETER": "SF6"}, "species"),
        ({"TIME INTERVAL": "daily"}, "hourly"),
        ({"LATITUDE": "north"}, "latitude"),
        ({"unit": "nmol.mol-1"}, "cannot be CO2"),
        ({"rows": ((0, 415.0, "N", 59),)}, "no observation is left"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, changes, what):
    with pytest.raises(TanhengError, match=what):
        read_icos(icos(tmp_path / "a.CO2", **changes))


def test_a_file_that_was_cut_is_refused(tmp_path):
    path = icos(tmp_path / "a.CO2")
    path.write_text("\n".join(path.read_text("utf-8").splitlines()[:-1]), "utf-8")
    with pytest.raises(TanhengError, match="as many lines"):
        read_icos(path)
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(TanhengError, match="ZIP"):
        read_icos(tmp_path / "b.zip")


def test_hohenpeissenberg_near_real_time(real):
    o = read_icos(real(HPB))
    # Lines 40, 41 and 10863 of the file: 429.440, 429.270, 424.068; Stdev 0.592, 1.152, 0.546; NbPoints 8, 16, 16
    np.testing.assert_allclose(o.values[[0, 1, -1]], [429.44, 429.27, 424.068], rtol=1e-12)
    np.testing.assert_allclose(o.extra["std_dev"][[0, 1, -1]], [0.592, 1.152, 0.546], rtol=1e-12)
    assert o.extra["nvalue"][[0, 1, -1]].tolist() == [8, 16, 16]
    assert str(o.start[0])[:19] == "2024-04-01T00:00:00" and str(o.start[-1])[:19] == "2025-06-25T23:00:00"
    # cut -d';' -f12: 10386 U, 438 N, all of these −999.990
    assert len(o) == 10386 and o.steps[0].dropped == (("flag N", 438),)
    assert o.scale == "WMO CO2 X2019" and set(o.instruments) == {"1516"} and set(o.groups) == {"HPB"}
    assert (o.lat[0], o.lon[0], o.height[0], o.altitude[0]) == (47.8011, 11.0246, 50.0, 984.0)
    assert "Creative Commons" in o.sources[0].attribution and np.isnan(o.sigma).all()
    assert any("no measurement uncertainty" in n for n in o.sources[0].notes)


def test_the_netcdf_form_is_the_european_obspack(real):
    o = read_icos(real("obspack_and_flask/co2_cbw_tower-insitu_445_allvalid-27magl.nc"))
    assert o.sources[0].reader == "read_obspack" and o.values[0] == pytest.approx(379.833, abs=5e-4)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_icos(tmp_path, count):
    (tmp_path / "fuzzed").mkdir()
    mutations = (*fuzz.TEXT, fuzz.without_column(";"))
    tally = fuzz.fuzz(read_icos, icos(tmp_path / "a.CO2"), mutations, count, tmp_path / "fuzzed")
    assert tally["refused"] > count // 3, tally
    print(tally)
