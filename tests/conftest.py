"""Shared set-up: double precision, one compilation cache, and the data mirror beside the checkout."""

import os
import shutil
import tempfile
from pathlib import Path

# What one worker of a run has compiled the others read, and so do the commands that tests start. It begins empty.
CACHE = "JAX_COMPILATION_CACHE_DIR"
OURS = None if CACHE in os.environ else tempfile.mkdtemp(prefix="tanheng-tests-")
if OURS is not None:
    os.environ |= {CACHE: OURS, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2"}

# ruff: noqa: E402
import jax
import pytest

jax.config.update("jax_enable_x64", True)

ROOT = Path(__file__).resolve().parent.parent
if "TANHENG_DATA" not in os.environ and (ROOT.parent / "shared" / "data").is_dir():
    os.environ["TANHENG_DATA"] = str(ROOT.parent / "shared" / "data")


def pytest_unconfigure():
    """Remove the cache where it was made here."""
    if OURS is not None:
        shutil.rmtree(OURS, ignore_errors=True)


def _needs(dataset):
    folder = os.environ.get("TANHENG_DATA")
    if not folder or not all((Path(folder) / dataset.name / path).is_file() for path in dataset.files):
        pytest.skip(f"needs the real files of {dataset.name}: set TANHENG_DATA to a folder that holds them")


@pytest.fixture(scope="session")
def new_zealand():
    """Skips where the New Zealand files are not at hand."""
    from experiments.data import NEW_ZEALAND

    _needs(NEW_ZEALAND)
    return NEW_ZEALAND


@pytest.fixture(scope="session")
def united_kingdom():
    """Skips where the United Kingdom files are not at hand."""
    from experiments.data import UNITED_KINGDOM

    _needs(UNITED_KINGDOM)
    return UNITED_KINGDOM


@pytest.fixture(scope="session")
def compose():
    """Composes the application's configuration from overrides, as the command does."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from experiments import schema
    from experiments.app import _register_help
    from experiments.origin import config_directory

    def composed(*overrides: str):
        schema.register()
        _register_help()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            return schema.typed(compose("config", overrides=list(overrides)))

    yield composed
    GlobalHydra.instance().clear()


@pytest.fixture(scope="session")
def real():
    """Path of a real file by its name below the data folder; skips where it is not at hand."""

    def find(name: str) -> Path:
        path = Path(os.environ.get("TANHENG_DATA", "nowhere")) / name
        if not path.is_file():
            pytest.skip(f"needs the real file {name}: set TANHENG_DATA to the folder that holds it")
        return path

    return find


@pytest.fixture(scope="session")
def smartcarb():
    """Skips where the files of SMARTCARB are not at hand."""
    from experiments.data import SMARTCARB

    _needs(SMARTCARB)
    return SMARTCARB
