"""task=preview: sizes, memory, time and degrees of freedom before a long run."""

import os
from pathlib import Path

import jax

from experiments import schema
from experiments.numbers import number, rounded
from experiments.progress import stage
from experiments.study import Study, Table
from experiments.tasks.offer import assemble
from inversion.preview import preview as look_ahead


def available_gib() -> float:
    """Memory that a new program can have on this machine now."""
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 2**20
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def preview(config: schema.Config) -> Study:
    """What a run of this configuration would take."""
    task = config.task
    assert isinstance(task, schema.Preview)
    memory = available_gib() if task.memory_gib is None else task.memory_gib
    setup = assemble(config)
    with stage("degrees of freedom and timed products"):
        found = look_ahead(setup.problem, jax.random.key(config.seed), memory, task.probes)
    bound = "" if found.dfs_converged else "at least "
    recommended = found.recommended or "none: average observations, or merge cells"
    sentences = (
        f"{found.unknowns} unknowns, {found.observations} observations; degrees of freedom for signal: {bound}"
        f"{number(found.dfs, -1)} ± {number(found.dfs_error, -1)}.",
        f"Recommended: {recommended} (of {number(found.available_gib, -1)} GiB).",
    )
    rows = tuple(
        (
            cost.solver,
            f"{rounded(cost.memory_gib)} GiB",
            f"{rounded(cost.seconds)} s",
            "yes" if cost.possible and cost.memory_gib <= memory else "no",
        )
        for cost in found.costs
    )
    blocks = tuple((name, str(size), unit) for name, size, unit in setup.blocks)
    return Study(
        setup=setup,
        title=f"Preview: {setup.title}",
        numbers={
            "unknowns": found.unknowns, "observations": found.observations, "dfs": found.dfs,
            "dfs_error": found.dfs_error, "dfs_converged": found.dfs_converged, "iterations": found.iterations,
            "product_seconds": found.product_seconds, "recommended": found.recommended,
            "available_gib": found.available_gib,
            "solvers": [
                {"solver": c.solver, "memory_gib": c.memory_gib, "seconds": c.seconds, "possible": c.possible}
                for c in found.costs
            ],
        },
        sentences=sentences,
        tables=(
            Table("Control vector", ("Block", "Unknowns", "Unit"), blocks, numbers=(1,)),
            Table(
                "Solvers", ("Solver", "Memory", "Time", "Fits"), rows,
                "Memory of the largest arrays; time from operations counted and products timed on this machine.",
                numbers=(1, 2),
            ),
        ),
        notes=("Building H is part of the preview, not of these times.",),
        sweep={"unknowns": str(found.unknowns), "DFS": number(found.dfs, -1), "solver": found.recommended},
    )  # fmt: skip
