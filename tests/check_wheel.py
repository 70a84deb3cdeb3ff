"""Build the wheel, install it into a clean environment, and run the command there, away from the checkout."""

import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A small form of the main job: one day of a smaller city.
QUICK = ["case.cells=12", "case.spacing_km=8", "meteorology.hours=24", "case.level_edges_m=[0,60,200,600,1500,3000]",
         "observations.overpasses.0.day=0", "observations.overpasses.1.day=0"]  # fmt: skip


def call(*command: str, cwd: Path, **environment: str) -> str:
    """Output of a command; ends this script with the command's own words if it fails."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=clean | environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"wheel check: {' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def main() -> None:
    """Check that the wheel holds what it must and runs from anywhere."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        call(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT), cwd=folder)
        (wheel,) = folder.glob("tanheng-*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        packaged = {n for n in names if n.startswith("experiments/configs/")}
        source = {f"experiments/configs/{p.relative_to(ROOT / 'configs')}" for p in (ROOT / "configs").rglob("*.yaml")}
        assert packaged == source, f"configs in the wheel differ: {packaged ^ source}"
        tops = {n.split("/")[0] for n in names if ".dist-info" not in n}
        assert tops == {"transport", "inversion", "priors", "experiments"}, tops
        assert "experiments/products/resources/land-50m.json" in names

        venv.create(folder / "env", with_pip=True)
        python = str(folder / "env" / "bin" / "python")
        pins = str(ROOT / "constraints.txt")
        call(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", pins, str(wheel), cwd=folder)
        tanheng = str(folder / "env" / "bin" / "tanheng")
        assert "experiment=nz_co2" in call(tanheng, "--help", cwd=folder)
        call(tanheng, *QUICK, "hydra.run.dir=out", cwd=folder)
        summary = json.loads((folder / "out" / "summary.json").read_text("utf-8"))
        assert summary["synthetic"] and summary["result"] == "successful", summary
        assert (folder / "out" / "report.html").stat().st_size > 100_000
    print(f"wheel check: {wheel.name} runs in a clean environment")


if __name__ == "__main__":
    main()
