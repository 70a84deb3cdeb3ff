"""The command in this process, and the real files of each case."""

import os
import sys
from pathlib import Path

import pytest

from experiments import app, data


def needs(*names: str) -> None:
    """Skip where a file below TANHENG_DATA is missing."""
    folder = os.environ.get("TANHENG_DATA")
    missing = [n for n in names if not folder or not (Path(folder) / n).is_file()]
    if missing:
        pytest.skip(f"needs real files: set TANHENG_DATA to a folder that holds {', '.join(missing)}")


@pytest.fixture(scope="session")
def bowen_basin():
    """Skips where the Bowen Basin files are not at hand."""
    needs(*(f"openmethane_bowen_basin/{path}" for path in data.BOWEN_BASIN.files))
    return data.BOWEN_BASIN


@pytest.fixture
def command(monkeypatch, tmp_path, capfd):
    """Runs `tanheng` in this process inside an empty folder; returns (exit code, output, errors)."""
    from hydra.core.global_hydra import GlobalHydra

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TANHENG_TRACEBACK", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str):
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["tanheng", *arguments])
        try:
            code = app.main()
        except SystemExit as error:
            code = error.code
        return (code, *capfd.readouterr())

    return run
