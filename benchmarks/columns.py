"""The column operator on many soundings: seconds and memory against their number, beside a plain loop of numpy.

    python -m benchmarks.columns [--largest 1000000]

A 100 × 100 × 32 model over 24 hours, soundings of 20 levels with kernel and a-priori profile at random places. The
reference does the same one by one: overlap of hats with layers by `numpy.interp` of their cumulative sums, then
a bilinear mean; its rate is measured on 2000 soundings.
"""

import argparse
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

from transport.grid import Grid  # noqa: E402
from transport.sampling import Sampler, column_weights  # noqa: E402

NT, NZ, NY, NX = 24, 32, 100, 100
LEVELS = 20


def soundings(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Places, times, kernels and pressures of n soundings, and the model's pressure above each."""
    ground = rng.uniform(9.5e4, 1.02e5, n)
    share = np.linspace(1.0, 0.0, LEVELS)
    inner = np.full(LEVELS, 1.0 / (LEVELS - 1))
    inner[[0, -1]] *= 0.5
    model = np.linspace(1.0, 0.05, NZ + 1) ** 1.2
    return {
        "x": rng.uniform(0, 1e6, n), "y": rng.uniform(0, 1e6, n), "start": rng.uniform(0, (NT - 1) * 3600.0, n),
        "pressure": ground[:, None] * share, "weights": np.broadcast_to(inner, (n, LEVELS)),
        "kernel": rng.uniform(0.3, 1.1, (n, LEVELS)),
        "model": (ground * rng.uniform(0.98, 1.02, n))[:, None] * model,
    }  # fmt: skip


def by_hand(s: dict[str, np.ndarray], air: np.ndarray, grid: Grid, count: int) -> np.ndarray:
    """Sounding by sounding with numpy."""
    values = np.zeros(count)
    for n in range(count):
        p, model = s["pressure"][n], s["model"][n].copy()
        model[0] = max(model[0], p[0])
        thick = p[:-1] - p[1:]
        area = 0.5 * (np.append(0.0, thick) + np.append(thick, 0.0))
        density = s["weights"][n] * s["kernel"][n] / area
        fine = np.concatenate([p, model[(model > p[-1]) & (model < p[0])]])
        fine = np.unique(fine)
        g = np.interp(fine, p[::-1], density[::-1])
        cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (g[1:] + g[:-1]) * np.diff(fine))])
        edges = np.interp(model, fine, cumulative)
        w = edges[:-1] - edges[1:]
        at_x, at_y = s["x"][n] / 1e4 - 0.5, s["y"][n] / 1e4 - 0.5
        i, j = int(np.clip(at_x, 0, NX - 2)), int(np.clip(at_y, 0, NY - 2))
        a, b = np.clip(at_x - i, 0, 1), np.clip(at_y - j, 0, 1)
        t = int(s["start"][n] // 3600.0)
        after = max(s["start"][n] + 600.0 - 3600.0 * (t + 1), 0.0) / 600.0
        for tau, share in ((t, 1.0 - after), (t + 1, after)):
            if share > 0.0:
                c = air[tau]
                column = (1 - a) * (1 - b) * c[:, j, i] + a * (1 - b) * c[:, j, i + 1]
                column = column + (1 - a) * b * c[:, j + 1, i] + a * b * c[:, j + 1, i + 1]
                values[n] += share * (w @ column)
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=1_000_000)
    largest = parser.parse_args().largest
    rng = np.random.default_rng(0)
    grid = Grid(np.linspace(0, 1e6, NX + 1), np.linspace(0, 1e6, NY + 1), "+proj=laea +lat_0=40 +lon_0=110")
    air = 400.0 + rng.random((NT, NZ, NY, NX))
    field = jnp.asarray(air)
    few = soundings(2000, rng)
    start = time.perf_counter()
    reference = by_hand(few, air, grid, 2000)
    rate = 2000 / (time.perf_counter() - start)
    print(f"numpy, sounding by sounding: {1e6 / rate:.0f} s per 10⁶")
    print("      n   weights    build     O C    Oᵀ y   total, s   ratio   peak GiB")
    for n in (2000, 10_000, 100_000, largest):
        s = few if n == 2000 else soundings(n, rng)
        for _ in range(2):  # the second time without compilation
            clock = [time.perf_counter()]
            levels = column_weights(s["model"], s["pressure"], s["weights"], s["kernel"], layered=False)
            clock.append(time.perf_counter())
            sampler = Sampler.of_arrays(s["x"], s["y"], s["start"], s["start"] + 600.0, levels, grid, air.shape, 3600.0)
            clock.append(time.perf_counter())
            y = jax.block_until_ready(sampler.mv(field))
            clock.append(time.perf_counter())
            jax.block_until_ready(sampler.mv_transposed(y))
            clock.append(time.perf_counter())
        if n == 2000:
            assert np.abs(np.asarray(y) - reference).max() < 1e-8, "the reference disagrees"
        seconds, peak = np.diff(clock), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        total = seconds[:3].sum()
        parts = "".join(f"{t:9.2f}" for t in seconds[:2]) + "".join(f"{t:8.2f}" for t in seconds[2:])
        print(f"{n:8d}{parts}   {total:8.2f} {n / rate / total:7.0f}   {peak:8.2f}", flush=True)


if __name__ == "__main__":
    main()
