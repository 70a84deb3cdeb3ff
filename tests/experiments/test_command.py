"""The command as a user meets it: help, typos, bad input, what is written and what is not."""

import csv
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import app, catalogue
from experiments.origin import config_directory

QUICK = ("case.cells=12", "case.spacing_km=8", "meteorology.hours=24", "case.level_edges_m=[0,60,200,600,1500,3000]",
         "observations.first_local_hour=12", "observations.last_local_hour=13", "observations.overpasses.1.day=0",
         "observations.overpasses.0.day=0")  # fmt: skip


def written(folder: Path) -> set[str]:
    """Result files below a folder, without Hydra's own record of the run."""
    return {p.name for p in folder.rglob("*") if p.is_file() and ".hydra" not in p.parts}


def test_help_shows_what_can_be_chosen(command):
    code, out, _ = command("--help")
    assert code in (0, None)
    for group in catalogue.groups():
        for option in catalogue.options(group):
            assert f"{group}={option}" in out
    assert "tanheng -m experiment=nz_co2" in out and "SYNTHETIC" in out


@pytest.mark.parametrize(
    ("arguments", "what", "names"),
    [
        (["slover=analytic"], "unknown option slover", "did you mean solver?"),
        (["observations.tower_transport=3"], "unknown option observations.tower_transport", "tower_transport_ppm"),
        (["observations.towers.0.nme=x"], "unknown option observations.towers[0].nme", "inlet_m"),
        (["+solver.tolerance=3"], "unknown option solver.tolerance", "space"),
        (["++extra=3"], "unknown option extra", "covariance"),
        (["experiment=nz_c02"], "group experiment has no such option", "did you mean nz_co2?"),
        (["task=invret"], "group task has no such option", "did you mean invert?"),
        (["seed=abc"], "option seed has a wrong value", "'abc'"),
        (["solver.space=phase"], "option solver.space has a wrong value", "observation"),
        (["covariance.length_km=-3"], "covariance.length_km is out of range", "> 0"),
        (["control.sigma_area=0"], "control.sigma_area is out of range", "> 0"),
        (["observations.column_noise_ppm=-1"], "observations.column_noise_ppm is out of range", "≥ 0"),
        (["a=["], "an override cannot be read", "key=value"),
        (["meteorology.hours=0"], "meteorology.hours is out of range", "> 0"),
        (["transport.max_courant=1.2"], "transport.max_courant", "≤ 1"),
        (["case.level_edges_m=[0,100,50]"], "levels must be strictly increasing", "increasing"),
        (["observations.towers.0.east_km=900"], "a receptor lies outside the model", "Grid("),
        (["prior.points.0.height_m=90000"], "a stack lies outside the model", "4000 m"),
        (["prior.points.0.east_km=900"], "Power station east lies outside the grid", "Grid("),
        (["observations.towers=[]", "observations.overpasses=[]"], "no observation is left", "at least one"),
        (["experiment=nz_co2", "transport=eulerian"], "case nz_co2 cannot use this transport", "region_responses"),
        (["experiment=nz_co2", "observations.hours=[14]"], "observations.hours cannot be used", "13, 15"),
        (["meteorology.wind_speed=nan"], "meteorology.wind_speed is out of range", "finite"),
        (["prior.points.0.height_m=inf"], "prior.points.0.height_m is out of range", "finite"),
        (["prior.points.1.mt_per_year=-6"], "mt_per_year of Power station west", "> 0"),
        (["prior.points.1.name=Steel works"], "a name in prior.points", "distinct"),
        (["observations.towers.0.name=Swath 1"], "a name in observations", "distinct"),
        (["observations.overpasses.0.day=99"], "overpass Swath 1 lies outside the window", "0…4"),
        (["observations.overpasses.0.local_hour=25"], "local_hour of overpass Swath 1", "0…23"),
        (["observations.overpasses.0.offset_km=5000"], "overpass Swath 1 misses the domain", "48 km"),
        (["observations.first_local_hour=18"], "first_local_hour…last_local_hour", "first ≤ last"),
        (["case.level_edges_m=[100,200,600,3000]"], "levels must reach from the ground", "first edge 0 m"),
        (["case.start=yesterday"], "case.start is not a time", "ISO 8601"),
        (["case.latitude=95"], "case.latitude is out of range", "85"),
        (["seed=-1"], "seed is out of range", "0…"),
        (["transport.max_courant=1e-9"], "too many steps", "at most"),
        ([*QUICK, "control.sigma_points=1e8"], "the solver did not succeed", "successful"),
        (["experiment=null"], "a group was set to null", "--help"),
        (["solver=null"], "null", "option"),
        (["task=check", "task.pairs=0"], "task.pairs is out of range", "1…1000"),
        (["experiment=uk_ch4", "observations.sites=[MHD,MHD]"], "sites cannot be used", "each once"),
        (["hydra.run.dir=/proc/nowhere"], "cannot be used", "hydra.run.dir"),
    ],
)
def test_a_mistake_ends_in_one_clear_message(command, tmp_path, arguments, what, names):
    code, out, err = command(*arguments)
    assert code == 1
    assert what in err and names in err
    assert "expected:" in err and "remedy:" in err
    assert "Traceback" not in out + err
    assert written(tmp_path) == set()


def test_a_traceback_on_request(command, monkeypatch):
    monkeypatch.setenv("TANHENG_TRACEBACK", "1")
    with pytest.raises(app._JobFailed) as error:
        command("experiment=nz_co2", "observations.hours=[14]")
    assert "observations.hours" in str(error.value.__cause__)


def test_version(command):
    code, out, _ = command("--version")
    assert code == 0 and out.startswith("tanheng 0.")


def test_a_users_experiments_are_listed(command, tmp_path):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "trial.yaml").write_text("# @package _global_\n# My own trial\nseed: 3\n")
    _, out, _ = command("--config-dir", str(tmp_path / "mine"), "--help")
    assert "experiment=trial" in out and "My own trial" in out


def test_a_typo_in_a_users_experiment_file(command, tmp_path):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "trial.yaml").write_text("# @package _global_\ncovariance:\n  lenght_km: 5.0\n")
    code, _, err = command("--config-dir", str(tmp_path / "mine"), "experiment=trial")
    assert code == 1 and "covariance.lenght_km" in err and "length_km" in err


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"# @package _global_\ncovariance:\n\tlength_km: 5.0\n", "cannot be read"),
        (b"# @package _global_\ncovariance: [\n", "cannot be read"),
        (b"# @package _global_\nseed: 1 # \xff\xfe\n", "cannot be read"),
        (b"covariance:\n  length_km: 5.0\n", "does not say where it belongs"),
    ],
)
def test_a_broken_experiment_file_is_explained(command, tmp_path, text, what):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "trial.yaml").write_bytes(text)
    code, out, err = command("--config-dir", str(tmp_path / "mine"), "experiment=trial")
    assert code == 1 and what in err and "Traceback" not in out + err


LIGHT = ("products.figures=false", "products.netcdf=false", "products.report=false")


def test_a_directory_holds_one_run_only(command, tmp_path):
    assert command(*QUICK, "hydra.run.dir=out")[0] == 0
    assert command(*QUICK, *LIGHT, "seed=5", "hydra.run.dir=out")[0] == 0
    assert written(tmp_path / "out") == {"summary.json", "manifest.json"}
    assert command(*QUICK, *LIGHT, "covariance.length_km=-5", "hydra.run.dir=out")[0] == 1
    assert written(tmp_path / "out") == set()


def test_a_directory_keeps_what_is_not_ours(command, tmp_path):
    (tmp_path / "out").mkdir()
    for name in ("mapping.png", "maps.png"):
        (tmp_path / "out" / name).write_text("mine")
    assert command(*QUICK, *LIGHT, "hydra.run.dir=out")[0] == 0
    assert (tmp_path / "out" / "mapping.png").read_text() == (tmp_path / "out" / "maps.png").read_text() == "mine"


def test_a_reused_sweep_directory_never_shows_old_numbers(command, tmp_path):
    for lengths in ("5,20", "5,-1"):
        command("-m", *QUICK, *LIGHT, f"covariance.length_km={lengths}", "hydra.sweep.dir=out")
    rows = json.loads((tmp_path / "out" / "sweep_summary.json").read_text())
    assert rows[1]["status"] == "failed" and "posterior" not in rows[1]


def test_an_empty_sweep_is_a_failure(command):
    code, _, err = command("-m", *QUICK, *LIGHT, "covariance.length_km=range(1,1)")
    assert code == 1 and "no job" in err


def test_a_run_writes_everything_at_once(command, tmp_path):
    code, _, err = command(*QUICK, "hydra.run.dir=out")
    assert code == 0, err
    names = written(tmp_path / "out")
    assert {"summary.json", "manifest.json", "report.html", "posterior.nc", "maps.png", "series.png"} <= names
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    for name in ("chi2", "dfs", "n_obs", "n_state", "solver", "result", "wall_seconds", "peak_memory_mib"):
        assert name in summary
    for total in summary["totals"]:
        assert set(total) == {
            "region",
            "period",
            "prior",
            "posterior",
            "u_prior",
            "u_posterior",
            "unit",
            "k",
            "interval",
            "truth",
        } | ({"measurand"} if "biosphere" not in total["region"] else set())
        low, high = total["interval"]
        assert low == pytest.approx(total["posterior"] - total["k"] * total["u_posterior"])
        assert high == pytest.approx(total["posterior"] + total["k"] * total["u_posterior"])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["config"]["case"]["cells"] == 12 and manifest["packages"]["jax"] and manifest["citations"]
    assert manifest["seeds"] == {"truth and noise": 0}
    assert manifest["experiment"] == "city_osse" and manifest["choices"]["solver"] == "analytic"
    assert manifest["overrides"][0] == "case.cells=12"
    assert "SYNTHETIC" in (tmp_path / "out" / "report.html").read_text() and "SYNTHETIC" in err


def test_a_failure_while_writing_leaves_nothing(command, tmp_path, monkeypatch):
    import experiments.report.html as html

    def broken(*_):
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(html, "write_report", broken)
    code, _, err = command(*QUICK, "hydra.run.dir=out")
    assert code == 1 and "No space left" in err
    assert written(tmp_path) == set()


def test_the_same_seed_gives_the_same_numbers(command, tmp_path):
    light = ("products.figures=false", "products.netcdf=false", "products.report=false")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert command(*QUICK, *light, f"hydra.run.dir={name}", f"seed={seed}")[0] == 0
    a, b, c = (json.loads((tmp_path / n / "summary.json").read_text())["totals"] for n in "abc")
    assert a == b and a != c


def test_a_sweep_has_one_table_even_when_a_job_fails(command, tmp_path):
    light = ("products.figures=false", "products.netcdf=false", "products.report=false")
    code, _, err = command("-m", *QUICK, *light, "covariance.length_km=5,-1,20", "hydra.sweep.dir=out")
    assert code == 1 and err.count("covariance.length_km is out of range") == 1
    assert "Error executing" not in err and "Traceback" not in err
    table = err[err.rindex("SYNTHETIC City") :]
    assert table.count("completed") == 2 and "failed" in table and "…" not in table
    rows = json.loads((tmp_path / "out" / "sweep_summary.json").read_text())
    assert [r["status"] for r in rows] == ["completed", "failed", "completed"]
    assert [r["options"]["covariance.length_km"] for r in rows] == ["5", "-1", "20"]
    assert "posterior" in rows[0] and "error" in rows[1]
    with (tmp_path / "out" / "sweep_summary.csv").open(newline="") as stream:
        assert [r["status"] for r in csv.DictReader(stream)] == ["completed", "failed", "completed"]


def test_check_prints_its_evidence(command, tmp_path):
    code, _, err = command(*QUICK, "task=check", "hydra.run.dir=out")
    assert code == 0 and "adjoint_identity" in err
    assert json.loads((tmp_path / "out" / "check.json").read_text())["failed"] == []


def test_every_option_starts_from_a_typed_node():
    """Its own, or another of its group where the option is a preset (transport=eulerian_limited)."""
    from experiments.schema import NODES

    for group, nodes in NODES.items():
        options = catalogue.options(group)
        assert set(nodes) <= set(options), group
        for name in options:
            text = (config_directory() / group / f"{name}.yaml").read_text()
            first = re.match(rf"  - /schema/{group}/(\w+)@_here_\n", text.split("defaults:\n")[1])
            assert first is not None and first[1] in nodes, (group, name)
            assert first[1] == name or name not in nodes, (group, name)
            assert catalogue.description(config_directory() / group / f"{name}.yaml"), (group, name)


def test_a_shadowing_package_is_named(tmp_path):
    """`inversion` of another distribution in front of ours: refuse, and say where it comes from."""
    (tmp_path / "inversion").mkdir()
    (tmp_path / "inversion" / "__init__.py").write_text("")
    (tmp_path / "intruder-1.0.dist-info").mkdir()
    (tmp_path / "intruder-1.0.dist-info" / "METADATA").write_text("Name: intruder\nVersion: 1.0\n")
    (tmp_path / "intruder-1.0.dist-info" / "RECORD").write_text("inversion/__init__.py,,\n")
    root = str(Path(app.__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from experiments.app import main; sys.exit(main())"],
        env=environment, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "package 'inversion' does not belong to Tanheng" in done.stderr
    assert "pip uninstall intruder" in done.stderr and "Traceback" not in done.stderr


def test_a_checkout_that_is_not_installed_says_so_before_it_works(command, monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    code, _, err = command()
    assert code == 1
    assert "without being installed" in err
    assert "pip install -e ." in err
