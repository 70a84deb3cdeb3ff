"""The table of advection errors in docs: `python -m benchmarks.advection` (minutes), `--quick` leaves out fine grids.

l2 errors relative to the norm of the exact field; cases, flows and references are in tests/verification/planar.py.
"""

import argparse
import time

import jax

FINE = [("hills", 480), ("bells", 480), ("swirl bell", 256)]
HEADINGS = {
    ("hills", 120): "hills 3°",
    ("hills", 240): "1.5°",
    ("hills", 480): "0.75°",
    ("bells", 240): "bells 1.5°",
    ("bells", 480): "0.75°",
    ("swirl bell", 128): "swirl 128²",
    ("swirl bell", 256): "256²",
    ("rotation bell", 100): "rotation 100²",
    ("rotation slotted", 100): "slotted 100² (range)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the fine grids")
    quick = parser.parse_args().quick
    # Double precision must be chosen before the first array.
    jax.config.update("jax_enable_x64", True)
    from tests.verification.planar import CASES, SCHEMES, run

    columns = [key for key in HEADINGS if not (quick and key in FINE)]
    print("| scheme | " + " | ".join(HEADINGS[key] for key in columns) + " | s |")
    print("|---" * (len(columns) + 2) + "|", flush=True)
    for name, scheme in SCHEMES.items():
        start, cells = time.perf_counter(), []
        for case, size in columns:
            got = run(CASES[case], scheme, size)
            text = f"{got.l2:.4f}" if got.l2 < 0.1 else f"{got.l2:.3f}"
            cells.append(text + (f" ({got.lowest:.2f}…{got.highest:.2f})" if "slotted" in case else ""))
        print(f"| {name} | " + " | ".join(cells) + f" | {time.perf_counter() - start:.0f} |", flush=True)


if __name__ == "__main__":
    main()
