"""task=check: the numerical evidence of a case's operators."""

from pathlib import Path

from experiments import schema
from experiments.cases import city
from experiments.checks import LIMITS, MEANING, Evidence, transport_evidence
from experiments.output import staged, write_json
from experiments.progress import console, stage
from experiments.tasks.offer import SIMULATE, assemble
from transport.errors import TanhengError
from transport.linear import adjoint_gap


def evidence_of(config: schema.Config) -> Evidence:
    """The checks of a case: of our own transport where it has one, else the adjoint identity of H."""
    assert isinstance(config.task, schema.Check)
    if isinstance(config.case, schema.CityCase):
        return city.check(config)
    if type(config.case) in SIMULATE:
        setup = SIMULATE[type(config.case)](config)
        return transport_evidence(setup.transport, setup.sources, pairs=config.task.pairs)
    gap = adjoint_gap(assemble(config).problem.H, config.task.pairs)
    return Evidence({"adjoint_identity": gap}, {"adjoint_identity": LIMITS["adjoint_identity"]})


def check(config: schema.Config, directory: Path) -> Evidence:
    """Print and write the numerical evidence of a case.

    Raises:
        TanhengError: a check misses its limit.
    """
    with stage("numerical checks"):
        evidence = evidence_of(config)
    for name, fact in evidence.facts.items():
        console.print(f"  {name:<28s} {fact}")
    for name, value in evidence.values.items():
        console.print(f"  {name:<28s} {value:.3e}   ≤ {evidence.limits[name]:.0e}   {MEANING[name]}")
    for note in evidence.notes:
        console.print(f"  {note}", soft_wrap=True)
    content = {"evidence": evidence.values, "limits": evidence.limits, "failed": evidence.failed}
    with staged(directory) as folder:
        write_json(folder / "check.json", content | {"facts": evidence.facts, "notes": evidence.notes})
    if evidence.failed:
        raise TanhengError(
            "a numerical check failed",
            got={name: evidence.values[name] for name in evidence.failed},
            expected={name: evidence.limits[name] for name in evidence.failed},
            remedy="do not use these results; report the configuration",
        )
    return evidence
