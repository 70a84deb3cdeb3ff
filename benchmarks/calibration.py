"""Calibration of every solver with every prior family, by simulation: one table, and benchmarks/calibration.json.

    python -m benchmarks.calibration [--full] [--only WORD]

What is measured and how: tests/inversion/calibration.py and docs/calibration.md. Rows whose solver claims an exact
posterior must lie inside their bands; one that does not is repeated with four times the problems and another seed, and
both rows are printed. Rows of approximations (few members, strong skew, transport parameters) are only measured.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

# ruff: noqa: E402
from tests.inversion.calibration import FAMILIES, MARKOV, Scores, figures, uniformity
from tests.inversion.calibration_runs import SOLVERS, seed_of

OUTPUT = Path(__file__).with_suffix(".json")
DIRECT = ("analytic, state space", "analytic, observation space", "variational")
# Solver, families, problems reduced and in full, and whether it must be calibrated.
ROWS: list[tuple[str, tuple[str, ...], int, int, bool]] = [
    *((solver, tuple(FAMILIES), 4000, 20000, True) for solver in DIRECT),
    ("sequential, lag of all windows", tuple(FAMILIES), 100, 300, True),
    ("sequential, lag 0", MARKOV, 100, 300, True),
    ("geostatistical", tuple(FAMILIES), 100, 400, True),
    ("geostatistical, flat trend", ("exponential",), 100, 400, True),
    ("ES-MDA, 1000 members", tuple(FAMILIES), 100, 300, True),
    ("LETKF, 1000 members", tuple(FAMILIES), 100, 300, True),
    ("sampling", tuple(FAMILIES), 100, 300, True),
    ("sampling, log-normal", tuple(FAMILIES), 100, 300, True),
    ("truncated Gaussian", tuple(FAMILIES), 100, 300, True),
    ("log-normal Laplace, σ 0.1", ("diagonal", "exponential"), 100, 300, True),
    ("hierarchical, collapsed", ("exponential", "temporal"), 100, 300, True),
    ("transport parameters, marginal", ("exponential",), 100, 300, False),
    ("transport parameters, joint", ("exponential",), 100, 300, False),
    *((f"log-normal Laplace, σ {s}", ("exponential",), 100, 300, False) for s in ("0.3", "1", "1, noise 0.03")),
    *((f"{s}, {k} members", ("full",), 400, 2000, False) for s in ("ES-MDA", "LETKF") for k in (20, 100)),
]
HEADER = (
    "| solver | family | problems | ranks, χ² p | mean z² | 68 % | 95 % | |\n"
    "|---|---|---|---|---|---|---|---|"
)  # fmt: skip


def row(solver: str, family: str, scores: Scores, required: bool, seconds: float) -> dict:
    """Figures of one run as they go into the file."""
    p, found = uniformity(scores), figures(scores)
    inside = p > 0.01 and all(figure.inside for figure in found.values()) and scores.failed == 0
    return {
        "solver": solver, "family": family, "problems": len(scores.z), "failed": scores.failed, "p": p,
        "required": required, "inside": inside, "seconds": round(seconds, 1), "quantiles": scores.share is not None,
        **{what: [f.value, f.nominal, f.band if f.band < 1e9 else None] for what, f in found.items()},
    }  # fmt: skip


def line(found: dict) -> str:
    """One line of the table."""
    cells = []
    for value, nominal, band in (v for v in found.values() if isinstance(v, list)):
        cells.append(f"{value:.3f}" + ("" if band is None else f" ({nominal:.3f} ± {band:.3f})"))
    verdict = "" if found["inside"] else ("OUTSIDE" if found["required"] else "off")
    if found["failed"]:
        verdict += f" {found['failed']} failed"
    start = [found["solver"], found["family"], str(found["problems"]), f"{found['p']:.3f}"]
    return "| " + " | ".join([*start, *cells, verdict.strip()]) + " |"


def run(solver: str, family: str, count: int, required: bool) -> list[dict]:
    """One row, and its repeat where it must be inside and is not."""
    rows, seed = [], seed_of(solver, family)
    for problems, name in ((count, solver), (4 * count, f"{solver}, repeated")):
        start = time.perf_counter()
        scores = SOLVERS[solver](family, problems, seed + len(rows))
        rows.append(row(name, family, scores, required, time.perf_counter() - start))
        print(line(rows[-1]), flush=True)
        if rows[-1]["inside"] or not required:
            break
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of docs/calibration.md")
    parser.add_argument("--only", default="", help="rows whose solver contains this word; nothing is written")
    options = parser.parse_args()
    print(HEADER)
    rows, wrong = [], 0
    for solver, families, reduced, full, required in ROWS:
        for family in families if options.only in solver else ():
            found = run(solver, family, full if options.full else reduced, required)
            wrong += required and not found[-1]["inside"]
            rows += found
            if not options.only:
                OUTPUT.write_text(json.dumps({"full": options.full, "rows": rows}, indent=1, ensure_ascii=False) + "\n")
    outside = sum(r["required"] and not r["inside"] and "repeated" not in r["solver"] for r in rows)
    required = sum(r["required"] and "repeated" not in r["solver"] for r in rows)
    print(f"\n{outside} of {required} rows outside at first, {wrong} after a repeat; "
          f"{sum(r['seconds'] for r in rows):.0f} s")  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
