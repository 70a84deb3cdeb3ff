"""task=network: which sites and overpasses lower the variance of named totals most."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from experiments import schema
from experiments.cases import Setup
from experiments.numbers import number, value_place
from experiments.products.experiment import draw_ranking
from experiments.products.style import pretty
from experiments.progress import stage
from experiments.study import Study, Table
from experiments.tasks.offer import assemble
from inversion.network import Ranking, rank
from transport.errors import TanhengError


def _chosen_totals(setup: Setup, task: schema.Network) -> np.ndarray:
    """Rows of the totals that are asked for, each by its name or by how only its name begins.

    Raises:
        TanhengError: a name that fits no total, or several; one that stands twice.
    """
    regions = list(setup.totals.regions)
    if not task.totals:
        return np.array([0])
    rows = []
    for name in task.totals:
        fits = [i for i, region in enumerate(regions) if region == name] or [
            i for i, region in enumerate(regions) if name and region.startswith(name)
        ]
        if len(fits) != 1 or fits[0] in rows:
            raise TanhengError(
                "task.totals cannot be used", got=repr(name),
                expected=f"each once, by name or beginning: {'; '.join(regions)}",
                remedy=f"e.g. 'task.totals=[{regions[0].split()[0].rstrip(',')}]'",
            )  # fmt: skip
        rows.append(fits[0])
    return np.array(rows)


def network(config: schema.Config) -> Study:
    """The ranking of the case's sites and overpasses.

    Raises:
        TanhengError: unknown names; more to choose than there are; importance that does not fit.
    """
    task = config.task
    assert isinstance(task, schema.Network)
    setup = assemble(config)
    rows = _chosen_totals(setup, task)
    if task.importance and len(task.importance) != len(rows):
        raise TanhengError(
            "task.importance does not fit the totals", got=f"{len(task.importance)} weights",
            expected=f"{len(rows)}, one for each total", remedy="give one weight for each of task.totals",
        )  # fmt: skip
    observations = setup.observations
    groups = np.asarray(observations.groups).astype(str)
    # Knowledge that is not measured is there in any network.
    constraints = sorted(set(groups[observations.kinds == "constraint"]))
    candidates = sorted(set(groups) - set(constraints) - set(task.existing))
    if task.existing:
        schema.require_chosen("task.existing", task.existing, sorted(set(groups) - set(constraints)))
    if not candidates:
        raise TanhengError(
            "no candidate is left", got=f"task.existing={list(task.existing)}", expected="a site that is not there yet",
            remedy="leave one out of task.existing, or add sites to the observations",
        )  # fmt: skip
    if task.choose > len(candidates):
        raise TanhengError(
            "there are not that many candidates", got=f"task.choose={task.choose}",
            expected=f"at most {len(candidates)}: {', '.join(candidates)}",
            remedy="choose fewer, or add sites to the observations",
        )  # fmt: skip
    with stage(f"ranking of {len(candidates)} candidates"):
        found = rank(
            setup.problem, groups, jnp.asarray(setup.totals.weights[rows]), task.choose or len(candidates),
            [*task.existing, *constraints], "swap" if task.swap else "greedy", task.importance or None,
        )  # fmt: skip
    totals = dataclasses.replace(
        setup.totals, regions=tuple(setup.totals.regions[i] for i in rows), weights=setup.totals.weights[rows],
        truth=None if setup.totals.truth is None else setup.totals.truth[rows],
    )  # fmt: skip
    return _study(dataclasses.replace(setup, totals=totals), found, task)


def _study(setup: Setup, found: Ranking, task: schema.Network) -> Study:
    unit, first = setup.totals.unit, setup.totals.regions[0]
    sigma, reduction = np.sqrt(found.variance), 1.0 - np.sqrt(found.variance / found.prior)
    place = value_place(float(sigma[-1, 0]))
    best = found.chosen[0]
    constrained = bool((setup.observations.kinds == "constraint").any())
    before = ", ".join(task.existing) or ("constraints only" if constrained else "nothing yet")
    sentences = (
        f"{first}: u falls from {number(float(np.sqrt(found.prior[0])), place)} (prior)"
        + (f" over {number(float(sigma[0, 0]), place)} (with {', '.join(task.existing)})" if task.existing else "")
        + f" to {number(float(sigma[-1, 0]), place)} {unit} with {len(found.chosen)} "
        + ("more." if task.existing else "sites and overpasses."),
        f"First choice: {best}, which alone takes it to {number(float(np.sqrt(found.alone[best][0])), place)} {unit}.",
    )
    steps = [
        {"name": name, "u": sigma[i + 1].tolist(), "reduction": reduction[i + 1].tolist(),
         "u_alone": np.sqrt(found.alone[name]).tolist()}
        for i, name in enumerate(found.chosen)
    ]  # fmt: skip
    return Study(
        setup=setup,
        title=f"Network design: {setup.title}",
        numbers={
            "totals": list(setup.totals.regions), "unit": unit, "existing": list(task.existing),
            "u_prior": np.sqrt(found.prior).tolist(), "u_existing": sigma[0].tolist(), "ranking": steps,
            "alone": {name: np.sqrt(v).tolist() for name, v in found.alone.items()}, "swaps": found.swaps,
            "method": "swap" if task.swap else "greedy",
        },
        sentences=sentences,
        tables=tuple(_table(setup, found, i, before) for i in range(len(setup.totals.regions))),
        figures={"network": lambda: draw_ranking(setup, found)},
        notes=(
            "Prior and errors are taken as Gaussian; the solver of the configuration is not used.",
            *(
                f"The data hardly see {region}: they reduce its u by less than 1 %."
                for region, left in zip(setup.totals.regions, reduction[-1], strict=True)
                if left < 0.01
            ),
            "Only the places, times and stated errors of the observations count here, not their values.",
            "The order is by what each adds to those above it; the last column is what it does on its own beside the "
            "existing network. Data that share their information rank low together, however useful each is alone.",
        ),
        sweep={"first": best, "u": number(float(sigma[-1, 0]), place)},
    )  # fmt: skip


def _table(setup: Setup, found: Ranking, i: int, existing: str) -> Table:
    place = value_place(float(np.sqrt(found.variance[-1, i])))

    def line(rank_: str, name: str, variance: float, alone: float | None) -> tuple[str, ...]:
        gone = 1.0 - np.sqrt(variance / found.prior[i])
        return (
            rank_, name, number(float(np.sqrt(variance)), place), f"{number(100.0 * float(gone), -1)} %",
            "" if alone is None else number(float(np.sqrt(alone)), place),
        )  # fmt: skip

    rows = [line("", existing, found.variance[0, i], None)]
    rows += [
        line(str(k + 1), name, found.variance[k + 1, i], found.alone[name][i]) for k, name in enumerate(found.chosen)
    ]
    unit = pretty(setup.totals.unit)
    heads = (
        "Rank",
        "Site or overpass",
        f"u with all so far ({unit})",
        "reduced by all so far",
        "u if it alone is added",
    )
    caption = f"Prior u {number(float(np.sqrt(found.prior[i])), place)} {unit}."
    return Table(f"{pretty(setup.totals.regions[i])}: ranking", heads, tuple(rows), caption, (0, 2, 3, 4))
