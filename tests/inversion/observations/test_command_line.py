"""`python -m inversion.observations`: a table of what a file holds, or one message and exit code 1."""

import sys

import pytest

from inversion.observations import __main__ as command
from inversion.observations import netcdf


def run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["observations", *map(str, arguments)])
    return command.main()


def test_files_are_described_joined_and_written(real, monkeypatch, capsys, tmp_path):
    names = ("20120101", "20120102")
    files = [real(f"satellite_and_column_l2/gosat_ocpr_l2/ESACCI-GHG-L2-CH4-GOSAT-OCPR-{n}-fv7.2.nc") for n in names]
    assert run(monkeypatch, "gosat", *files, "--write", tmp_path / "out.nc") == 0
    printed = capsys.readouterr().out
    assert (
        "CH4 in ppb" in printed and "retrieval noise" in printed and "quality" in printed and "join 2 sets" in printed
    )
    assert len(netcdf.read(tmp_path / "out.nc").sources) == 2


@pytest.mark.parametrize(("reader", "name"), [("obspack", "nowhere.nc"), ("table", "x.csv")])
def test_a_refusal_is_one_message(monkeypatch, capsys, tmp_path, reader, name):
    assert run(monkeypatch, reader, tmp_path / name) == 1
    assert capsys.readouterr().err.startswith("error: ")
