"""Speed of the transport operator beside the same step in C and beside the memory of the machine, timed in one run.

    python benchmarks/transport.py [--quick] [--sizes] [--json FILE]

Every repeat times ours and the reference one after the other, and the shortest time of each counts: what else runs on
the machine lengthens times, never shortens them. The reference must give our numbers, or it is not the same step.
"""

import argparse
import ctypes
import dataclasses
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# A script's own folder comes first in the search path, and there this file would pass for the package it measures.
sys.path = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]

# ruff: noqa: E402
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from transport.errors import TanhengError
from transport.eulerian.operator import EulerianTransport
from transport.eulerian.plan import courant_numbers
from transport.eulerian.step import Plan
from transport.eulerian.sweep import whole
from transport.meteorology import Meteorology
from transport.mixing import Mixing
from transport.sources import Sources

SOURCE = Path(__file__).with_name("reference_step.c")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC")
HOUR = 3600.0
STEPS = 12  # of five minutes
SIZES = ((2, 30, 100, 100), (1, 40, 300, 300), (1, 40, 600, 600))
OUTER = 400.0  # ppm beyond all sides
TRIAD_WORDS = 1 << 25  # per array in single precision: 128 MiB, more than the cache
# Words that a forward step reads and writes per cell: four sweeps of 6 bands, air (2), q and q'; two of 4 bands; right
# side (5), pivots (4), elimination (4) and substitution (4) of the implicit solve; mean (3).
WORDS = 4 * (6 + 4) + 2 * (4 + 4) + 5 + 4 + 4 + 4 + 3
# Waiting OpenMP threads would otherwise spin on the cores that ours needs next.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: a figure and, where the issue sets one, its limit."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """ok, missed, or nothing where there is no limit."""
        if self.limit is None:
            return ""
        return "ok" if (self.value >= self.limit if self.at_least else self.value <= self.limit) else "missed"


# --- the case ---
def meteorology(shape: tuple[int, int, int, int], dtype: Any, courant: float, steps: int) -> Meteorology:
    """Turning winds with a little divergence, layers of growing mass, mixing that fades upwards; in balance.

    Args:
        shape: (nt, nz, ny, nx).
        dtype: precision.
        courant: largest Courant number of a sweep when an interval has `steps` steps, before air moves.
        steps: per interval.
    """
    nt, nz, ny, nx = shape
    random = np.random.default_rng(1)
    layer = 1e6 * np.exp(-np.linspace(0.0, 1.5, nz))[:, None, None]
    x, y, k = (np.linspace(0.0, 2.0 * np.pi, n) for n in (nx + 1, ny + 1, nz))
    k = k[:, None, None]
    air = np.empty((nt + 1, nz, ny, nx), dtype)
    flux_x, flux_y = np.empty((nt, nz, ny, nx + 1), dtype), np.empty((nt, nz, ny + 1, nx), dtype)
    flux_z = np.zeros((nt, nz + 1, ny, nx), dtype)
    air[0] = layer
    for t in range(nt):
        a = random.uniform(0.0, 2.0 * np.pi, 4)
        stream = np.sin(x + a[0] + k) * np.cos(2 * y + a[1])[:, None]
        stream = stream + 0.5 * np.sin(3 * x + a[2] + k) * np.cos(y + a[3])[:, None]
        u, v = -np.diff(stream, axis=1), np.diff(stream, axis=2)
        u += 0.02 * np.abs(u).max() * np.sin(x + k)
        scale = courant / max(np.abs(u).max(), np.abs(v).max()) * layer / (0.5 * HOUR / steps)
        u, v = u * scale, v * scale
        convergence = -np.diff(u, axis=2) - np.diff(v, axis=1)
        tendency = convergence.sum(axis=0) * layer / layer.sum()
        air[t + 1] = air[t] + HOUR * tendency
        flux_x[t], flux_y[t] = u, v
        flux_z[t, 1:-1] = np.cumsum(convergence - tendency, axis=0)[:-1]
    exchange = 5e5 / HOUR * np.exp(-np.linspace(0.0, 5.0, nz - 1))
    exchange = np.broadcast_to(exchange[:, None, None], (nt, nz - 1, ny, nx)).astype(dtype)
    mixing = Mixing(jnp.asarray(exchange))
    return Meteorology(jnp.asarray(air), jnp.asarray(flux_x), jnp.asarray(flux_y), jnp.asarray(flux_z), mixing, HOUR)


def transport(shape: tuple[int, int, int, int], dtype: Any) -> EulerianTransport:
    """The operator with steps of five minutes, one sweep per layer and direction: what the reference does."""
    met = meteorology(shape, dtype, courant=0.6, steps=STEPS)
    operator = EulerianTransport(met, np.full(shape[2:], 1e6))
    plan = Plan(STEPS, whole(shape[1]), whole(shape[1]), False)
    assert not courant_numbers(met, STEPS)[2]
    return eqx.tree_at(lambda o: o.plan, operator, plan)


def sources(operator: EulerianTransport) -> Sources:
    """A hilly start, a flux from the ground, one value beyond the sides."""
    form = operator.in_structure()
    nt, nz, ny, nx = operator.meteorology.shape
    dtype = form.initial.dtype
    start = OUTER + 50.0 * jnp.sin(jnp.arange(nz * ny * nx) * 0.37).reshape(nz, ny, nx)
    boundary = jax.tree.map(lambda s: jnp.full(s.shape, OUTER, dtype), form.boundary)
    surface = jnp.broadcast_to(1e-3 * (1.0 + jnp.cos(jnp.arange(nx) * 0.2)), (nt, ny, nx))
    return Sources(surface.astype(dtype), jnp.zeros(form.points.shape, dtype), boundary, start.astype(dtype))


# --- the reference ---
class Reference:
    """The step in C, for the first interval of an operator whose plan has neither sub-sweeps nor vertical excess."""

    def __init__(self, operator: EulerianTransport, vector: Sources, folder: str):
        met, steps, half = operator.meteorology, operator.plan.steps, 0.5 * operator.seconds
        plain = operator.plan.slabs_x == operator.plan.slabs_y == ((0, met.shape[1], 1),)
        assert plain
        assert not operator.plan.vertical_excess
        self.dtype = np.dtype(met.air.dtype)
        self.library = compile_reference(self.dtype, folder)
        self.steps, self.shape = steps, met.shape[1:]
        air = np.asarray(met.air)
        self.start, self.air = np.asarray(vector.initial), air[0]
        moved = [np.asarray(flux[0]) * self.dtype.type(half) for flux in (met.flux_x, met.flux_y, met.flux_z)]
        exchange = np.asarray(met.mixing.exchange[0]) * self.dtype.type(operator.seconds)
        source = np.asarray(vector.surface[0]) * np.asarray(operator.areas) * self.dtype.type(operator.seconds)
        self.faces = [0.5 * (air[0] + air[1]), *moved, exchange, source]
        step = eqx.filter_jit(EulerianTransport.step)(operator, jnp.asarray(0))
        bands = [[np.asarray(b) for b in jax.tree.leaves(sweep.faces)] for sweep in (step.x, step.y, step.z)]
        self.bands = [*bands, [np.asarray(a) for a in step.air], np.asarray(step.gain), exchange, source]
        self.q, self.m, self.mean = (np.empty(self.shape, self.dtype) for _ in range(3))

    def _pointer(self, value: Any) -> Any:
        if isinstance(value, list):
            return (ctypes.c_void_p * len(value))(*(self._pointer(v) for v in value))
        assert value.dtype == self.dtype
        assert value.flags.c_contiguous
        return value.ctypes.data_as(ctypes.c_void_p)

    def march(self, name: str) -> np.ndarray:
        """Mean of the interval by `march_faces` or `march_bands`."""
        np.copyto(self.q, self.start)
        np.copyto(self.m, self.air)
        carried = [self.q, self.m, self.mean] if name == "march_faces" else [self.q, self.mean]
        arguments = [*carried, *(self.faces if name == "march_faces" else self.bands)]
        outer = (ctypes.c_float if self.dtype == np.float32 else ctypes.c_double)(OUTER)
        sizes = (ctypes.c_int(n) for n in (self.steps, *self.shape))
        getattr(self.library, name)(*sizes, *(self._pointer(a) for a in arguments), outer)
        return self.mean


def compile_reference(dtype: np.dtype, folder: str) -> ctypes.CDLL:
    """reference_step.c as a library. Linked without -ffast-math, which would turn off the denormals of this process."""
    real = "float" if dtype == np.float32 else "double"
    made = Path(folder) / f"reference_{real}"
    subprocess.run(["gcc", *FLAGS, f"-DREAL={real}", "-c", SOURCE, "-o", f"{made}.o"], check=True)
    subprocess.run(["gcc", "-shared", "-fopenmp", f"{made}.o", "-o", f"{made}.so"], check=True)
    return ctypes.CDLL(f"{made}.so")


# --- clocks ---
def best(functions: dict[str, Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter) -> dict:
    """Shortest seconds of each function, taking turns."""
    shortest = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats):
        for name, function in functions.items():
            start = clock()
            jax.block_until_ready(function())
            shortest[name] = min(shortest[name], clock() - start)
    return shortest


def compiled(function: Callable, *arguments: Any) -> tuple[Callable[[], Any], float]:
    """The call with these arguments, and the seconds that tracing and compiling it took."""
    start = time.perf_counter()
    executable = jax.jit(function).lower(*arguments).compile()
    return lambda: executable(*arguments), time.perf_counter() - start


def triad(folder: str, repeats: int) -> float:
    """GB/s of a = b + s c in C, counting three words."""
    library = compile_reference(np.dtype(np.float32), folder)
    arrays = [np.ones(TRIAD_WORDS, np.float32) for _ in range(3)]
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in arrays]
    call = {"triad": lambda: library.triad(ctypes.c_long(TRIAD_WORDS), *pointers, ctypes.c_float(0.5))}
    return 12e-9 * TRIAD_WORDS / best(call, repeats)["triad"]


def device_copy(repeats: int) -> float:
    """GB/s of a device reading and writing one array."""
    array = jnp.ones(TRIAD_WORDS * 8, jnp.float32)
    call, _ = compiled(lambda a: a + 1.0, array)
    return 64e-9 * TRIAD_WORDS / best({"copy": call}, repeats)["copy"]


# --- the figures ---
def forward_rows(dtype: Any, intervals: int, repeats: int, bandwidth: float, folder: str) -> list[Row]:
    """Forward beside the reference, after both gave the same numbers."""
    operator = transport((intervals, 30, 100, 100), dtype)
    vector, name = sources(operator), np.dtype(dtype).name.replace("float", "f")
    call, _ = compiled(lambda o, v: o.mv(v), operator, vector)
    ours, reference = np.asarray(call()[0]), Reference(operator, vector, folder)
    rows, forms = [], ("march_faces", "march_bands")
    for form in forms:
        gap = float(np.abs(reference.march(form) - ours).max() / np.abs(ours).max())
        row = Row(f"{name} |ours - C| / max, {form}", gap, "1", 1e-12 if dtype == np.float64 else 1e-5)
        if row.verdict != "ok":
            raise TanhengError(
                f"{form} of the reference is not our step",
                got=f"relative difference {gap:.1e}",
                expected=f"≤ {row.limit:g}",
                remedy="write into reference_step.c what changed in transport/eulerian, or the reverse",
            )
        rows.append(row)
    calls = {"ours": call}
    for form in forms:
        calls[form] = lambda form=form: [reference.march(form) for _ in range(intervals)]
    work = 1e-6 * 300_000 * STEPS * intervals
    wall, cpu = best(calls, repeats), best(calls, repeats, time.process_time)
    rate = {which: work / seconds for which, seconds in wall.items()}
    fastest = min(forms, key=lambda form: wall[form])
    single = dtype == np.float32
    return [
        *rows,
        Row(f"{name} forward", rate["ours"], "M cell-steps/s", 150.0 if single else None, at_least=True),
        *(Row(f"{name} C, {form}", rate[form], "M cell-steps/s") for form in forms),
        Row(f"{name} forward / {fastest}, wall time", wall["ours"] / wall[fastest], "1", 2.0 if single else None),
        Row(f"{name} forward / march_faces, CPU time", cpu["ours"] / cpu["march_faces"], "1"),
        Row(
            f"{name} forward, modelled bytes / bandwidth",
            rate["ours"] * WORDS * np.dtype(dtype).itemsize / 1e3 / bandwidth,
            "1",
        ),
    ]


def adjoint_rows(dtype: Any, intervals: int, repeats: int) -> list[Row]:
    """One receptor and sixteen beside a forward run, coefficients beside a step, compile times."""
    operator = transport((intervals, 30, 100, 100), dtype)
    vector = sources(operator)
    receptors = jnp.zeros((16, *operator.out_structure().shape), dtype).at[:, -1, 0, 50, 50].set(1.0)
    calls, seconds = {}, {}
    calls["forward"], seconds["mv"] = compiled(lambda o, v: o.mv(v), operator, vector)
    calls["adjoint"], seconds["mv_transposed"] = compiled(lambda o, c: o.mv_transposed(c), operator, receptors[0])
    calls["sixteen"], _ = compiled(lambda o, c: jax.vmap(o.mv_transposed)(c), operator, receptors)
    calls["coefficients"], _ = compiled(lambda o, t: o.step(t), operator, jnp.asarray(0))
    _, gradient = compiled(
        jax.grad(lambda m, o, v: jnp.sum(eqx.tree_at(lambda o: o.meteorology, o, m).mv(v) ** 2)),
        operator.meteorology, operator, vector,
    )  # fmt: skip
    wall, cpu = best(calls, repeats), best(calls, repeats, time.process_time)
    sixteen = 14.0 if jax.default_backend() == "cpu" else 6.0
    return [
        Row("adjoint of one receptor / forward", wall["adjoint"] / wall["forward"], "1", 1.5),
        Row("adjoint of 16 receptors / of one", wall["sixteen"] / wall["adjoint"], "1", sixteen),
        Row("adjoint of one receptor / forward, CPU time", cpu["adjoint"] / cpu["forward"], "1"),
        Row("adjoint of 16 receptors / of one, CPU time", cpu["sixteen"] / cpu["adjoint"], "1"),
        Row("coefficients of an interval / a step", wall["coefficients"] * STEPS * intervals / wall["forward"], "1"),
        *(Row(f"compile {name}", value, "s", 10.0) for name, value in seconds.items()),
        Row("compile the gradient with respect to the meteorology", gradient, "s"),
    ]


def size_rows(dtype: Any, shape: tuple[int, int, int, int], repeats: int, bandwidth: float) -> list[Row]:
    """Forward, and one, four and sixteen receptors, on a grid of another size. For GPUs."""
    operator = transport(shape, dtype)
    vector, kind = sources(operator), np.dtype(dtype)
    name = f"{kind.name.replace('float', 'f')} {shape[3]}×{shape[2]}×{shape[1]}"
    calls = {0: compiled(lambda o, v: o.mv(v), operator, vector)[0]}
    for count in (1, 4, 16):
        receptors = jnp.zeros((count, *operator.out_structure().shape), dtype)
        receptors = receptors.at[:, -1, 0, shape[2] // 2, shape[3] // 2].set(1.0)
        calls[count] = compiled(lambda o, c: jax.vmap(o.mv_transposed)(c), operator, receptors)[0]
    seconds = best(calls, repeats)
    rate = 1e-6 * np.prod(shape) * STEPS / seconds[0]
    bytes_ = rate * WORDS * kind.itemsize / 1e3 / bandwidth
    return [
        Row(f"{name}: forward", rate, "M cell-steps/s"),
        Row(f"{name}: modelled bytes / bandwidth", bytes_, "1"),
        *(Row(f"{name}: {count} receptors / forward", seconds[count] / seconds[0], "1") for count in (1, 4, 16)),
    ]


def big_run(shape: tuple[int, int, int, int]) -> dict[str, float]:
    """Seconds and memory of a day at 300 × 300 × 40; run in a process of its own."""
    operator = transport(shape, np.float32)
    vector = sources(operator)
    jax.block_until_ready((operator, vector))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the meteorology
    start = time.perf_counter()
    jax.block_until_ready(operator.mv(vector))
    seconds = time.perf_counter() - start
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    size = sum(a.nbytes for a in jax.tree.leaves(operator.meteorology))
    result = 4 * np.prod(shape)
    peak = 1024.0 * float(status["VmHWM"].split()[0])
    return {"seconds": seconds, "meteorology": size / 1e9, "result": float(result) / 1e9, "peak": peak / 1e9}


def big_rows(shape: tuple[int, int, int, int]) -> list[Row]:
    """`big_run` in a fresh process."""
    command = [sys.executable, __file__, "--big", ",".join(map(str, shape))]
    got = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    name = f"{shape[2]}×{shape[3]}×{shape[1]}, {shape[0]} h of 5 min"
    held = got["meteorology"] + got["result"]
    # Python, XLA and the working arrays of one interval come on top, however long the run: only a long one is judged.
    limit = 1.5 if shape[0] >= 24 else None
    return [
        Row(f"{name}: time with compilation", got["seconds"], "s"),
        Row(f"{name}: rate with compilation", 1e-6 * np.prod(shape) * STEPS / got["seconds"], "M cell-steps/s"),
        Row(f"{name}: meteorology", got["meteorology"], "GB"),
        Row(f"{name}: result", got["result"], "GB"),
        Row(f"{name}: peak memory", got["peak"], "GB"),
        Row(f"{name}: peak / (meteorology + result)", got["peak"] / held, "1", limit),
        Row(f"{name}: peak - (meteorology + result)", got["peak"] - held, "GB"),
    ]


def show(rows: Sequence[Row]) -> None:
    """The table."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        limit = "" if row.limit is None else f"{'≥' if row.at_least else '≤'} {row.limit:g}"
        print(f"{row.name:{width}s}  {row.value:10.3g} {row.unit:15s} {limit:8s} {row.verdict}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repeats, short runs, a small big run")
    parser.add_argument("--sizes", action="store_true", help="other grids too, up to 600 × 600 × 40; meant for a GPU")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--big", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.big:
        print(json.dumps(big_run(tuple(map(int, options.big.split(","))))))  # type: ignore[arg-type]
        return
    jax.config.update("jax_enable_x64", True)
    repeats, intervals = (5, 2) if options.quick else (25, 4)
    load = os.getloadavg()[0]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}"
    machine += f"; jax {jax.__version__} on {jax.default_backend()}"
    print(machine)
    with tempfile.TemporaryDirectory() as folder:
        bandwidth = triad(folder, repeats)
        rows = [Row("triad in C", bandwidth, "GB/s")]
        if jax.default_backend() != "cpu":
            bandwidth = device_copy(repeats)
            rows.append(Row("copy on the device", bandwidth, "GB/s"))
        for dtype in (np.float32, np.float64):
            rows += forward_rows(dtype, intervals, repeats, bandwidth, folder)
        if options.sizes:
            for dtype, shape in itertools.product((np.float32, np.float64), SIZES):
                rows += size_rows(dtype, shape, 5, bandwidth)
    rows += adjoint_rows(np.float32, intervals, max(3, repeats // 3))
    rows += big_rows((2, 40, 300, 300) if options.quick else (24, 40, 300, 300))
    show(rows)
    if options.json:
        table = [dataclasses.asdict(row) | {"verdict": row.verdict} for row in rows]
        options.json.write_text(json.dumps({"machine": machine, "figures": table}, indent=1, default=float))


if __name__ == "__main__":
    main()
