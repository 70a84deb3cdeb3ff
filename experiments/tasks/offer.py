"""Which case does which task, and the case's assembled problem."""

from collections.abc import Callable

from experiments import schema
from experiments.cases import Setup, berlin, bowen_basin, city, nz_co2, plume, uk_ch4
from experiments.cases.simulation import Simulation
from transport.errors import TanhengError

ASSEMBLE: dict[type[schema.Case], Callable[[schema.Config], Setup]] = {
    schema.CityCase: city.assemble,
    schema.NewZealandCase: nz_co2.assemble,
    schema.UnitedKingdomCase: uk_ch4.assemble,
    schema.BerlinCase: berlin.assemble,
    schema.BowenBasinCase: bowen_basin.assemble,
}
SIMULATE: dict[type[schema.Case], Callable[[schema.Config], Simulation]] = {
    schema.BowenBasinCase: bowen_basin.simulate,
    schema.PlumeCase: plume.assemble,
}
# Tasks that ask for an inverse problem.
INVERSE = ("invert", "osse", "network", "preview", "hyperparameters")
# What else a user has to know when a case does not offer a task.
_WHY_NOT: dict[tuple[str, str], str] = {
    ("plume", "invert"): "it has no observations",
    ("city", "simulate"): "its inversion writes the modelled prior and posterior already",
}


def offered(case: schema.Case) -> list[str]:
    """The tasks that a case can do."""
    if isinstance(case, schema.RegionCase):
        return ["prior"]
    inverse, forward = type(case) in ASSEMBLE, type(case) in SIMULATE
    kinds = dict.fromkeys(INVERSE, inverse) | {"simulate": forward, "check": True}
    return [name for name, there in kinds.items() if there]


def require_offered(config: schema.Config) -> None:
    """Refuse a task that the case does not offer.

    Raises:
        TanhengError: names the tasks that it does.
    """
    case = next(n for n, kind in schema.NODES["case"].items() if type(config.case) is kind)
    task = next(n for n, kind in schema.NODES["task"].items() if type(config.task) is kind)
    if task not in offered(config.case):
        reason = (case, "invert" if task in INVERSE else task)
        why = _WHY_NOT.get(reason, "its responses were computed elsewhere, there is no air to carry forward")
        raise TanhengError(
            f"task={task} is not offered by case {case}", got=f"task={task}: {why}",
            expected=" or ".join(f"task={t}" for t in offered(config.case)),
            remedy=f"e.g. task={offered(config.case)[0]}",
        )  # fmt: skip


def assemble(config: schema.Config) -> Setup:
    """The inverse problem of the chosen case.

    Raises:
        TanhengError: data, options or selection do not fit.
    """
    return ASSEMBLE[type(config.case)](config)
