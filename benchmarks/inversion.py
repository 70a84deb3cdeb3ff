"""Solvers of inverse problems beside peers: time, memory, agreement, effective samples per second, cost against size.

    python -m benchmarks.inversion [dense] [large] [scaling] [sampling] [ensemble] [--quick] [--json F] [--plot F]

All solvers read the same problem files, each in a process of its own, peers in environments of their own (folder
`--peers`, one virtual environment per peer). Processes of one section take turns, so that what else runs on the machine
hits all alike; the median counts.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import problems

HERE = Path(__file__).parent
SECTIONS = ("dense", "large", "scaling", "sampling", "ensemble")
INSTALL = {"fips": "pip install --pre fips", "openghg": "pip install openghg_inversions==0.7.4"}
REFERENCE = "scipy lapack"
LARGE = {"cells": 1000, "days": 1000, "per_day": 10, "window": 10}
LIMIT = 1200.0  # seconds for one answer of `large`
SMALL = {"cells": 20, "days": 50, "per_day": 4, "window": 5}


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure of the table, with the load of the machine (mean of the last minute) when it was taken."""

    name: str
    value: float
    unit: str = ""
    limit: float | None = None
    note: str = ""
    load: float = dataclasses.field(default_factory=lambda: os.getloadavg()[0])

    def line(self) -> str:
        verdict = ""
        if self.limit is not None:
            verdict = f"≤ {self.limit:<8.3g} {'ok' if self.value <= self.limit else 'MISSED'}"
        return f"{self.name:58s} {self.value:10.3g} {self.unit:9s} {verdict:18s} load {self.load:4.1f}  {self.note}"


def show(*rows: Row) -> list[Row]:
    for row in rows:
        print(row.line(), flush=True)
    return list(rows)


class Worker:
    """A solver in its own process, which solves once for every `ask`."""

    def __init__(self, name: str, file: Path | str, answer: Path, peers: Path, options: dict | None = None):
        self.name, self.answer, self.lines = name, answer, []
        python, script = environment(name, peers)
        # A peer must not meet our packages' path; we may need it.
        peer = python != sys.executable
        environ = {k: v for k, v in os.environ.items() if not (peer and k == "PYTHONPATH")}
        self.process = subprocess.Popen(
            [python, *script, name, str(file), str(answer), json.dumps(options or {})], env=environ, cwd=HERE.parent,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, limit: float = 600.0) -> dict[str, Any]:
        """One more solution: seconds, CPU seconds, peak of memory in GiB and what the solver adds.

        Raises:
            RuntimeError: the process ended, or had to be ended after `limit` seconds, instead of answering.
        """
        timer = threading.Timer(limit, self.process.kill)
        timer.start()
        try:
            return self._ask()
        finally:
            timer.cancel()

    def _ask(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer "):
                self.lines.append(json.loads(line.removeprefix("answer ")))
                return self.lines[-1]
        raise RuntimeError(f"{self.name} ended: {self.process.communicate()[1][-2000:]}")

    def result(self) -> dict[str, np.ndarray]:
        """What its first answer was."""
        with np.load(self.answer) as file:
            return dict(file)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.communicate("")


def environment(name: str, peers: Path) -> tuple[str, list[str]]:
    """Interpreter and script of a solver."""
    peer = {"fips": "fips", "rhime": "openghg"}.get(name.split()[0])
    if peer:
        return str(peers / peer / "bin" / "python"), [str(HERE / "inversion_peers.py")]
    if name.split()[0] in ("scipy", "numpy"):
        return sys.executable, [str(HERE / "inversion_peers.py")]
    return sys.executable, ["-m", "benchmarks.inversion_ours"]


def missing(name: str, peers: Path) -> str:
    """How to install the peer, empty where it is there."""
    python = Path(environment(name, peers)[0])
    if python.exists():
        return ""
    folder = python.parents[1]
    return f"not installed: python -m venv {folder} && {folder}/bin/{INSTALL[folder.name]}"


def present(names: Sequence[str], peers: Path) -> list[str]:
    """The solvers that can run; the others are named with the command that installs them."""
    for name in names:
        if text := missing(name, peers):
            print(f"{name:58s} {text}", flush=True)
    return [name for name in names if not missing(name, peers)]


def turns(workers: Sequence[Worker], rounds: int) -> None:
    for _ in range(rounds):
        for worker in workers:
            worker.ask()


def median(worker: Worker, key: str = "seconds", drop: int = 1) -> float:
    return statistics.median(line[key] for line in worker.lines[drop:])


def gaps(found: dict, expected: dict) -> dict[str, float]:
    """Largest relative differences: of the mean (by its largest value), of σ of unknowns and of totals."""
    totals = [np.sqrt(np.diag(f["covariance"])) for f in (found, expected)]
    out = {"mean": float(np.abs(found["mean"] - expected["mean"]).max() / np.abs(expected["mean"]).max())}
    if "sigma" in found:
        out["sigma"] = float(np.abs(found["sigma"] / expected["sigma"] - 1.0).max())
    return out | {"totals": float(np.abs(totals[0] / totals[1] - 1.0).max())}


def furthest(title: str, differences: dict[str, float], limit: float) -> list[Row]:
    """The largest of `gaps`, with all of them beside it."""
    note = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    return [Row(f"{title}, difference", max(differences.values()), "1", limit, note)]


@dataclasses.dataclass(frozen=True)
class Run:
    """Where files go, and whether sizes are reduced."""

    folder: Path
    peers: Path
    quick: bool

    def file(self, name: str, arrays: dict[str, np.ndarray]) -> Path:
        path = self.folder / f"{name}.npz"
        np.savez(path, **arrays)
        return path

    def worker(self, name: str, file: Path | str, tag: str, options: dict | None = None) -> Worker:
        return Worker(name, file, self.folder / f"{tag} {name}.npz", self.peers, options)


# --- 1: dense ---
def dense(run: Run) -> list[Row]:
    """Mean, σ of all unknowns and covariance of 20 totals, from matrices in memory."""
    n, m = (200, 300) if run.quick else (2000, 3000)
    names = ["analytic state", "analytic observation", "scipy state", "scipy observation", REFERENCE, "numpy", "fips",
             "fips arithmetic"]  # fmt: skip
    rows = []
    for correlated in (False, True):
        title = f"{n}×{m}, R {'correlated' if correlated else 'diagonal'}"
        file = run.file(title, problems.dense(n, m, correlated))
        workers = [
            run.worker(name, file, title, {"variances": True} if name.startswith("analytic") else None)
            for name in present(names, run.peers)
        ]
        turns(workers, 6)
        expected = next(w for w in workers if w.name == REFERENCE).result()
        plain = min(median(w) for w in workers if not w.name.startswith("analytic") and w.name != REFERENCE)
        for w in workers:
            ours = w.name.startswith("analytic")
            rows += show(
                Row(f"{title}: {w.name}", median(w), "s", plain if w.name == "analytic state" else None,
                    f"CPU {median(w, 'cpu'):.2f} s, first call {w.lines[0]['seconds']:.2f} s"),
                Row(f"{title}: {w.name}, peak", w.lines[-1]["peak"], "GiB"),
                *furthest(f"{title}: {w.name}", gaps(w.result(), expected), 1e-8),
            )  # fmt: skip
            if ours and w.lines[0]["result"] != "successful":
                raise RuntimeError(f"{w.name}: {w.lines[0]['result']}")
            w.close()
    return rows


# --- 2: large ---
def large(run: Run) -> list[Row]:
    """A thousand cells × a thousand days; agreement is tested on the same generator's small problem."""
    rows, kinds = [], ("matrix-free", "variational")
    file = run.file("windowed", problems.windowed(**SMALL).files())
    reference = run.worker(REFERENCE, file, "windowed")
    reference.ask()
    for kind in kinds:
        small = run.worker(f"windowed {kind}", "-", "small", SMALL)
        small.ask()
        name = f"windowed {SMALL['cells']}×{SMALL['days']}: {kind}"
        rows += show(*furthest(f"{name} against dense", gaps(small.result(), reference.result()), 1e-8))
        small.close()
    reference.close()
    shape = {"cells": 100, "days": 100, "per_day": 10, "window": 10} if run.quick else LARGE
    answers = {}
    for kind in ("matrix-free", "variational") if run.quick else ("analytic", "variational"):
        worker = run.worker(f"windowed {kind}", "-", "large", shape)
        try:
            rows += show(*windowed_rows(worker.ask(LIMIT), shape, kind))
            answers[kind] = worker.result()
        except RuntimeError as error:
            rows += show(Row(f"{kind}: no answer", LIMIT / 60.0, "min", None, str(error)[-200:]))
        worker.close()
    if len(answers) < 2:
        return rows
    first, second = answers.values()
    title = f"windowed {shape['cells']}×{shape['days']}: variational against analytic"
    return rows + show(*furthest(title, gaps(second, first), 1e-6))


def windowed_rows(line: dict, shape: dict, kind: str) -> list[Row]:
    m = shape["days"] * shape["per_day"]
    title = f"{shape['cells']} cells × {shape['days']} days, {m} observations: {kind}"
    steps = f", {line['iterations']} iterations" if "iterations" in line else ""
    note = f"{line['kind']}, {line['result']}, mean after {line['to_mean'] / 60:.2f} min{steps}"
    return [Row(title, line["seconds"] / 60.0, "min", None, note), Row(f"{title}, peak", line["peak"], "GiB")]


# --- 3: cost against size ---
def exponent(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Slope of log value against log size and its standard error (NaN with two points)."""
    x, y = np.log(sizes), np.log(values)
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    left = y - y.mean() - slope * x
    error = np.sqrt(left @ left / (len(x) - 2) / (x @ x)) if len(x) > 2 else np.nan
    return slope, float(error)


def scaling(run: Run) -> list[Row]:
    """Dense n = m, and windowed Kronecker problems of c cells × c days with ten observations a day."""
    rows, curves = [], {}
    sizes = (100, 200, 400) if run.quick else (250, 500, 1000, 2000, 4000)
    for n in sizes:
        file = run.file(f"scaling {n}", problems.dense(n, n))
        for name in ("analytic state", "analytic observation", "variational", "scipy state"):
            worker = run.worker(name, file, f"{n}", {} if name.startswith("scipy") else {"variances": False})
            turns([worker], 3)
            seconds = min(line["seconds"] for line in worker.lines[1:])
            curves.setdefault(f"dense: {name}", []).append((n, seconds, worker.lines[-1]["peak"]))
            rows += show(Row(f"n = m = {n}: {name}", seconds, "s", None, f"peak {worker.lines[-1]['peak']:.2f} GiB"))
            worker.close()
        file.unlink()
    for c in (30, 50, 100) if run.quick else (100, 178, 316, 562):
        shape = LARGE | {"cells": c, "days": c}
        # The largest would keep `variational` busy for more than ten minutes.
        for kind in ("matrix-free", "variational") if c < 562 else ("matrix-free",):
            worker = run.worker(f"windowed {kind}", "-", f"{c}", shape)
            turns([worker], 2)
            line = worker.lines[-1]
            curves.setdefault(f"Kronecker: {kind}", []).append((c * c, line["seconds"], line["peak"]))
            rows += show(*windowed_rows(line, shape, kind))
            worker.close()
    for name, points in curves.items():
        size, seconds, _ = np.array(points).T
        last = min(3, len(size))
        (all_, error), (tail, _) = exponent(size, seconds), exponent(size[-last:], seconds[-last:])
        rows += show(Row(f"exponent of time, {name}", all_, f"± {error:.2f}", None, f"largest three: {tail:.2f}"))
    (run.folder / "curves.json").write_text(json.dumps(curves))
    return rows


def plot(curves: dict, added: dict, path: Path) -> None:
    """Time and memory against size, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import ticker

    for name, point in added.items():
        curves[name] = [*curves[name], point]
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), sharex="col", layout="constrained")
    for column, (kind, label) in enumerate({
        "dense": "unknowns n (as many observations)", "Kronecker": "unknowns n = cells × days (10 √n observations)",
    }.items()):  # fmt: skip
        for name, points in curves.items():
            if not name.startswith(kind):
                continue
            size, seconds, peak = np.array(points).T
            slope, error = exponent(size, seconds)
            legend = f"{name.split(': ')[1]}: n^({slope:.2f} ± {error:.2f})"
            axes[0, column].loglog(size, seconds, "o-", ms=4, label=legend)
            axes[1, column].loglog(size, peak, "o-", ms=4, label=name.split(": ")[1])
        axes[0, column].set_title(f"{kind} problems" if kind == "dense" else "Kronecker prior, windowed rows")
        axes[1, column].set_xlabel(label)
        axes[0, column].legend(fontsize=8, frameon=False)
        axes[1, column].xaxis.set_minor_formatter(ticker.NullFormatter())
        memory = axes[1, column].yaxis
        memory.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        memory.set_major_formatter(ticker.FormatStrFormatter("%.2g"))
        memory.set_minor_formatter(ticker.NullFormatter())
        for row in range(2):
            axes[row, column].grid(True, which="major", lw=0.4, color="0.85")
    axes[0, 0].set_ylabel("time, compiled (s)")
    axes[1, 0].set_ylabel("peak memory of the process (GiB)")
    figure.savefig(path, dpi=110)


# --- 4: sampling ---
def sampling(run: Run) -> list[Row]:
    """The same two models in both: log-normal with known error, Gaussian with one more unknown error per site."""
    import jax

    from benchmarks.inversion_ours import effective

    jax.config.update("jax_enable_x64", True)
    n, m, draws = (20, 60, 200) if run.quick else (150, 500, 500)
    rows = []
    for ours, peer in (("sampling", "rhime"), ("hierarchical", "rhime hierarchical")):
        title = f"{n} regions × {m} observations, {'log-normal' if ours == 'sampling' else 'hierarchical'}"
        file = run.file(title, problems.basis(n, m, lognormal=ours == "sampling"))
        with np.load(file) as opened:
            W = opened["W"]
        found = {}
        for name in present([ours, peer], run.peers):
            key = {"warmup": draws, "count": draws} if name == ours else {"tune": draws, "draws": draws}
            worker = run.worker(name, file, title, {"chains": 4, "seed": 1} | key)
            worker.ask()
            found[name] = worker.result()
            worker.close()
            rows += show(*sample_rows(f"{title}: {name}", found[name], effective))
        if len(found) == 2:
            rows += show(*agreement_rows(title, found[ours], found[peer], W))
    return rows


def sample_rows(title: str, found: dict, effective) -> list[Row]:
    size, seconds, whole = effective(found["draws"]), float(found["sampling"]), float(found["whole"])
    note = f"{size['worst']:.0f} of {found['draws'].shape[0] * found['draws'].shape[1]} draws in {seconds:.1f} s"
    note += f", {int(found['divergences'])} diverged, R̂ {size['r_hat']:.3f}"
    rows = [
        Row(f"{title}, ESS/s, worst unknown", size["worst"] / seconds, "1/s", None, note),
        Row(f"{title}, ESS/s, middle unknown", size["middle"] / seconds, "1/s"),
        Row(f"{title}, ESS/s, worst, with compilation", size["worst"] / whole, "1/s", None, f"{whole:.1f} s"),
    ]
    if "theta" in found:
        worst = effective(found["theta"])["worst"]
        rows.append(Row(f"{title}, ESS/s, worst site error", worst / seconds, "1/s", None, f"{worst:.0f} draws"))
    return rows


def agreement_rows(title: str, ours: dict, peer: dict, W: np.ndarray) -> list[Row]:
    """Differences of posterior means in units of their Monte Carlo error."""
    from scipy.stats import norm

    from inversion.solvers.chains import mean_error

    rows = []
    for what, a, b in (("x", ours["draws"], peer["draws"]), ("totals", ours["draws"] @ W.T, peer["draws"] @ W.T),
                       ("site errors", ours.get("theta"), peer.get("theta"))):  # fmt: skip
        if a is None or b is None:
            continue
        z = (a.mean(axis=(0, 1)) - b.mean(axis=(0, 1))) / np.hypot(mean_error(a), mean_error(b))
        # The largest of k standard normal numbers stays below this in 99 of 100 runs.
        limit = float(norm.isf(0.005 / z.size))
        rows.append(Row(f"{title}: {what}, largest |z| of {z.size} means", float(np.abs(z).max()), "1", limit,
                        f"rms {np.sqrt((z**2).mean()):.2f}"))  # fmt: skip
    return rows


# --- 5: ensemble ---
def ensemble(run: Run) -> list[Row]:
    """A thousand members on the dense problem, no localisation."""
    n, m = (200, 300) if run.quick else (2000, 3000)
    file = run.file("ensemble", problems.dense(n, m))
    reference = run.worker(REFERENCE, file, "ensemble")
    reference.ask()
    expected, rows = reference.result(), []
    reference.close()
    for name in ("es_mda", "letkf"):
        worker = run.worker(name, file, "ensemble", {"variances": True})
        turns([worker], 3)
        found = worker.result()
        z = (found["totals"] - expected["totals"]) / np.sqrt(np.diag(expected["covariance"]))
        note = f"first call {worker.lines[0]['seconds']:.1f} s; total of all cells off by {z[0]:+.2f} of its σ; "
        note += f"{worker.lines[-1]['result'][:60]}"
        seconds = min(line["seconds"] for line in worker.lines[1:])
        rows += show(Row(f"{n}×{m}: {name}, 1000 members", seconds, "s", None, note))
        rows += show(Row(f"{n}×{m}: {name}, peak", worker.lines[-1]["peak"], "GiB"))
        worker.close()
    return rows


def machine(peers: Path) -> dict[str, Any]:
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.processor())  # fmt: skip
    used = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy", "scipy", "blackjax")}
    for folder in peers.glob("*/lib/python*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        if name in ("fips", "openghg_inversions", "pymc"):
            used[name] = version
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    return {"date": now, "cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "versions": used,
            "load": os.getloadavg()}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="section", help="sections, all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    parser.add_argument("--json", type=Path, default=HERE / "inversion.json")
    parser.add_argument("--plot", type=Path, help="PNG of cost against size")
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("TANHENG_PEERS", "/tmp/peers_venv")))
    options = parser.parse_args()
    if unknown := set(options.names) - set(SECTIONS):
        parser.error(f"unknown {', '.join(sorted(unknown))}; sections are {', '.join(SECTIONS)}")
    about = machine(options.peers)
    print(json.dumps(about), flush=True)
    rows, curves = {}, None
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), options.peers.absolute(), options.quick)
        for name in options.names or SECTIONS:
            print(f"--- {name}", flush=True)
            rows[name] = globals()[name](run)
        if (run.folder / "curves.json").exists():
            curves = json.loads((run.folder / "curves.json").read_text())
    about["load_at_end"] = os.getloadavg()
    if curves and options.plot:
        plot(curves, large_points(rows.get("large", [])) if not options.quick else {}, options.plot)
    figures = {name: [dataclasses.asdict(row) for row in section] for name, section in rows.items()}
    options.json.write_text(json.dumps({"machine": about, "figures": figures, "curves": curves}, indent=1))


def large_points(rows: list[Row]) -> dict[str, tuple[float, float, float]]:
    """The run with 10⁶ unknowns as the last point of the curves."""
    points = {}
    for kind, curve in (("analytic", "matrix-free"), ("variational", "variational")):
        title = next((row.name for row in rows if row.unit == "min" and row.name.endswith(f": {kind}")), None)
        if title is not None:
            value = {row.name: row.value for row in rows}
            n = LARGE["cells"] * LARGE["days"]
            points[f"Kronecker: {curve}"] = (n, 60.0 * value[title], value[f"{title}, peak"])
    return points


if __name__ == "__main__":
    main()
