"""A total of an inversion beside the account of the same measurand, by hand; whatever is unlike is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

from experiments.cases import TotalSpec, city
from experiments.cases.city.observations import observe
from experiments.cases.city.results import totals_of
from experiments.cases.city.unknowns import blocks_of
from experiments.comparison import beside, kilograms_per_second, place_of, read_account, stated, summarised
from experiments.outcome import Total
from experiments.report.accounts import accounts_of
from inversion.budget import Measurand, mask_sha256
from transport.errors import TanhengError
from transport.grid import Grid

GRID = Grid(np.arange(3.0), np.arange(3.0))
CITY = Measurand("CO2", "city", mask_sha256(GRID, np.eye(2)), np.datetime64("2021-01-01"), np.datetime64("2022-01-01"))
YEAR = 365.0 * 86400.0
LINES = [
    {"facility": "works", "sector": "power", "activity": 1000, "activity_unit": "TJ", "activity_percent": 3,
     "factor": 90.0, "factor_unit": "t/TJ", "factor_percent": 4, "reference": "made up"},
    {"facility": "homes", "sector": "heat", "activity": 200, "activity_unit": "TJ", "activity_percent": 12,
     "factor": 50.0, "factor_unit": "t/TJ", "factor_percent": 5, "reference": "made up"},
]  # fmt: skip


def spec(*measurands):
    return TotalSpec(("land", "city")[: len(measurands)], "2021", np.ones((len(measurands), 1)), "Mt CO2 yr-1",
                     measurands=measurands)  # fmt: skip


def total(region="city", value=0.108, u=0.004):
    return Total(region, "2021", 0.2, 0.1, value, u, "Mt CO2 yr-1", None)


@pytest.fixture
def write(tmp_path):
    def written(**changes):
        tree = {"measurand": stated(CITY), "lines": LINES} | changes
        path = tmp_path / "account.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in tree.items() if v is not None}, allow_unicode=True))
        return str(path)

    return written


def test_inversion_and_account_meet_with_z_and_e_n_by_hand(write):
    # 90 kt with 5 %, 10 kt with 13 % (half of the 95 % interval): U = √(4.5² + 1.3²) kt.
    file = read_account(write(correlation=0.25))
    found = summarised(beside(file, spec(None, CITY), (total("land"), total())))
    u_b = np.hypot(4.5, 1.3) * 1e-3 / 1.96
    u = np.sqrt(0.004**2 + u_b**2 - 2 * 0.25 * 0.004 * u_b)
    assert found["account"]["value"] == pytest.approx(0.1, rel=1e-9)
    assert found["account"]["u"] == pytest.approx(u_b, rel=3e-4)
    assert found["inversion"] == pytest.approx({"value": 0.108, "u": 0.004, "U": 0.008})
    assert found["z"] == pytest.approx(0.008 / u, rel=1e-3)
    assert found["E_n"] == pytest.approx(found["z"] / 2.0, rel=1e-6)
    assert found["agree"] is True
    assert [s["value"] for s in found["sectors"]] == pytest.approx([0.09, 0.01])
    assert sum(s["u"] ** 2 for s in found["sectors"]) == pytest.approx(u_b**2, rel=1e-3)
    (section,) = accounts_of([found])
    assert "agree within" in section["sentence"]
    assert [row["value"] for row in section["rows"]] == ["0.1080", "0.1000", "0.0900", "0.01000", "0.0080"]
    assert "0.25" in section["why"]


def test_a_disagreement_is_said(write):
    found = summarised(beside(read_account(write()), spec(CITY), (total("land", 0.2),)))
    assert not found["agree"]
    assert "do not agree" in accounts_of([found])[0]["sentence"]


def test_a_skewed_total_counts_with_the_side_that_faces_the_account(write):
    skewed = dataclasses.replace(total("land", 0.108, 0.004), quantiles=(0.102, 0.120))
    found = summarised(beside(read_account(write()), spec(CITY), (skewed,)))
    assert found["inversion"]["U"] == pytest.approx(0.006)
    assert found["E_n"] == pytest.approx(0.008 / np.hypot(0.006, found["account"]["U"]))
    assert "not symmetric" in accounts_of([found])[0]["why"]


@pytest.mark.parametrize(
    "change",
    [{"gas": "CH4"}, {"area_sha256": "0" * 64}, {"end": np.datetime64("2021-12-31")}, {"kind": "net"},
     {"sectors": frozenset({"power"})}],
)  # fmt: skip
def test_an_account_of_something_else_is_refused(write, change):
    file = read_account(write())
    assert place_of(file, spec(None, CITY)) == 1
    with pytest.raises(TanhengError, match="states what no total of this case is") as raised:
        place_of(file, spec(dataclasses.replace(CITY, **change), None))
    assert next(iter(change)) in str(raised.value)


def test_a_case_without_measurands_is_refused(write):
    with pytest.raises(TanhengError, match="states what no total"):
        place_of(read_account(write()), TotalSpec(("a",), "2021", np.ones((1, 1)), "Mt CO2 yr-1"))


@pytest.mark.parametrize(
    "changes",
    [{"lines": None}, {"lines": []}, {"lines": "two"}, {"more": 1}, {"measurand": "city"}, {"correlation": "high"},
     {"measurand": stated(CITY) | {"gas": "steam"}}, {"correlation": True}, {"correlation": 1.0},
     {"measurand": {k: v for k, v in stated(CITY).items() if k != "end"}}],
)  # fmt: skip
def test_a_file_that_is_no_account_is_refused(write, changes):
    with pytest.raises(TanhengError):
        read_account(write(**changes))


def test_text_that_is_no_yaml_and_files_that_are_not_there_are_refused(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"lines: [\xff")
    for name in ("x.yaml", "absent.yaml"):
        with pytest.raises(TanhengError, match="an account cannot be read"):
            read_account(str(tmp_path / name))


def test_dates_that_yaml_has_turned_into_dates_are_read(write, tmp_path):
    path = tmp_path / "bare.yaml"
    path.write_text(Path(write()).read_text().replace("'2021-01-01T00:00:00'", "2021-01-01"))
    assert "2021-01-01\n" in path.read_text()
    assert read_account(str(path)).account.measurand == CITY


def test_units_of_totals():
    assert kilograms_per_second("Tg CO2 yr-1") == pytest.approx(1e9 / YEAR)
    assert kilograms_per_second("t CH4 h-1") == pytest.approx(1e3 / 3600.0)


def test_the_example_of_the_page_is_an_account_of_the_default_city(compose, tmp_path):
    page = Path(__file__).parents[2] / "docs" / "comparison.md"
    (tmp_path / "account.yaml").write_text(page.read_text("utf-8").split("```yaml\n")[1].split("```")[0], "utf-8")
    file, config = read_account(str(tmp_path / "account.yaml")), compose()
    built = city.build(config)
    blocks = blocks_of(built, config, observe(built, config.observations)[1].groups)
    totals = totals_of(built, config, blocks, np.zeros(sum(block.size for block in blocks)))
    assert place_of(file, totals) == 0
    tonnes = 3000 * 94.6 + 1900 * 73.2 + 1100 * 56.1
    assert 1e-6 * tonnes * 365 / 5 == pytest.approx(35.4, abs=0.05)
    assert file.account.total() == pytest.approx(1e3 * tonnes)
