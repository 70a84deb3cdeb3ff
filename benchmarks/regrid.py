"""Conservative regridding beside peers: time, memory, agreement, cost against size.

    python -m benchmarks.regrid [city] [globe] [--quick] [--peers FOLDER]

Every regridding runs in a process of its own, three times; the median counts. Peers live in FOLDER/regrid:
python -m venv FOLDER/regrid && FOLDER/regrid/bin/pip install xarray-regrid exactextract pyproj
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.inversion import Row, show

HERE = Path(__file__).parent
SECTIONS = ("city", "globe")
UTM = "EPSG:32633"


def problem(section: str, size: int, step: float) -> dict[str, np.ndarray]:
    """Random masses on a globe of `step` degrees, and the edges of the target."""
    from transport.grid import Grid

    shape = round(180 / step), round(360 / step)
    grid = Grid(np.linspace(-180.0, 180.0, shape[1] + 1), np.linspace(-90.0, 90.0, shape[0] + 1))
    arrays = {"mass": np.random.default_rng(0).gamma(0.5, size=shape) * grid.areas, "areas": grid.areas}
    if section == "city":
        return arrays | {"x": 4e5 + 1e3 * (np.arange(size + 1) - size / 2), "crs": np.array(UTM),
                         "y": 5.8e6 + 1e3 * (np.arange(size + 1) - size / 2)}  # fmt: skip
    return arrays | {"x": np.linspace(-180.0, 180.0, 2 * size + 1), "y": np.linspace(-90.0, 90.0, size + 1),
                     "crs": np.array("EPSG:4326")}  # fmt: skip


def ours(file: str, answer: str, folder: str) -> None:
    """One regridding by priors.regrid, first without and then with its cache."""
    from priors.inventory import Inventory
    from priors.regrid import overlaps, regrid
    from transport.grid import Grid

    with np.load(file) as held:
        p = dict(held)
    shape = p["mass"].shape
    source = Grid(np.linspace(-180.0, 180.0, shape[1] + 1), np.linspace(-90.0, 90.0, shape[0] + 1))
    times = np.array(["2018-01-01", "2019-01-01"], "datetime64[s]")
    inventory = Inventory("CH4", ("all",), p["mass"][None, None], source, times)
    target, seconds, got = Grid(p["x"], p["y"], str(p["crs"])), [], inventory
    for _ in range(2):
        start = time.perf_counter()
        got = regrid(inventory, target, folder)
        seconds.append(time.perf_counter() - start)
    found = overlaps(source, target, folder)
    kept = inventory.total(found.inside)
    np.savez(answer, values=got.rate[0, 0], kept=kept, areas=target.areas)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    line = {"seconds": seconds[0], "cached": seconds[1], "peak": peak, "error": abs(got.total() / kept - 1.0)}
    print(json.dumps(line | {"geometry": found.error}))


def measured(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=True, env=os.environ)
    return json.loads(done.stdout.splitlines()[-1])


def median(lines: list[dict[str, float]], key: str) -> float:
    return statistics.median(line[key] for line in lines)


def section(name: str, sizes: list[int], step: float, peers: Path, folder: Path) -> list[Row]:
    peer, rows = {"city": "exactextract", "globe": "xarray-regrid"}[name], []
    python = peers / "regrid" / "bin" / "python"
    for size in sizes:
        file, title = folder / f"{name} {size}.npz", f"{name}: {step:g}° globe → {size}"
        np.savez(file, **problem(name, size, step))
        answers = [folder / f"{who} {name} {size}.npz" for who in ("ours", "peer")]
        lines, theirs = [], []
        for turn in range(3):
            command = [sys.executable, "-m", "benchmarks.regrid", "--ours", str(file), str(answers[0])]
            lines.append(measured([*command, str(folder / f"cache {name} {size} {turn}")]))
            if python.exists():
                theirs.append(measured([str(python), str(HERE / "regrid_peers.py"), peer, str(file), str(answers[1])]))
        rows += show(
            Row(f"{title}, ours", median(lines, "seconds"), "s", median(theirs, "seconds") if theirs else None),
            Row(f"{title}, ours from the cache", median(lines, "cached"), "s"),
            Row(f"{title}, ours, peak", median(lines, "peak"), "GiB"),
            Row(f"{title}, ours, error of the total", lines[0]["error"], "1", 1e-10,
                f"shares {lines[0]['geometry']:.0e}"),
        )  # fmt: skip
        if not theirs:
            print(f"{title}, {peer}: not installed, see the head of this file", flush=True)
            continue
        with np.load(answers[0]) as a, np.load(answers[1]) as b:
            mass = b["values"] * (a["areas"] if name == "globe" else 1.0)
            apart = float(np.abs(mass - a["values"]).max() / np.abs(a["values"]).max())
            total = abs(float(mass.sum() / a["kept"]) - 1.0)
        rows += show(
            Row(f"{title}, {peer}", median(theirs, "seconds"), "s"),
            Row(f"{title}, {peer}, peak", median(theirs, "peak"), "GiB"),
            Row(f"{title}, {peer}, error of the total", total, "1", None,
                f"cells differ by up to {apart:.1e} of the largest"),
        )  # fmt: skip
    return rows


def main() -> None:
    if sys.argv[1:2] == ["--ours"]:
        ours(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", default=[], help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--peers", type=Path, default=os.environ.get("TANHENG_PEERS", "/tmp/peers_venv"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sections or SECTIONS:
            sizes = {"city": [50] if options.quick else [100, 300], "globe": [18] if options.quick else [90, 180]}
            section(name, sizes[name], 1.0 if options.quick else 0.1, options.peers, Path(folder))


if __name__ == "__main__":
    main()
