"""Numerical evidence of an Eulerian operator: each number with the limit that it has to meet."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from transport.eulerian import EulerianTransport
from transport.eulerian.budget import budget
from transport.eulerian.plan import largest_courant
from transport.eulerian.schemes.ppm import PPM
from transport.linear import adjoint_gap
from transport.sources import Sources, uniform_air

# Limits in double precision; those on single precision scale with the rounding of the numbers.
LIMITS = {
    "continuity": 1e-12,
    "uniform_tracer": 1e-12,
    "courant": 1.0,
    "budget_closure": 1e-12,
    "adjoint_identity": 1e-13,
}
MEANING = {
    "continuity": "largest imbalance of air of a cell over an interval, relative to its air",
    "uniform_tracer": "largest departure of a uniform tracer from 1 over the whole window",
    "courant": "largest Courant number of any sub-sweep",
    "budget_closure": "tracer that the budget of the run does not explain, relative to its largest term",
    "adjoint_identity": "|⟨A v, w⟩ − ⟨v, Aᵀ w⟩| / (|A v| |w|)",
}
SINGLE = float(jnp.finfo(jnp.float32).eps / jnp.finfo(jnp.float64).eps)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured.

    Args:
        values: by name.
        limits: by the same names.
        facts: numbers without a limit: steps, sub-sweeps.
        notes: what could not be checked, and why.
    """

    values: dict[str, float]
    limits: dict[str, float]
    facts: dict[str, object] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> list[str]:
        """Names of the checks that miss their limit; a NaN misses every limit."""
        return [name for name, value in self.values.items() if not value <= self.limits[name]]


def plan_facts(transport: EulerianTransport) -> dict[str, object]:
    """Intervals, steps and sub-sweeps of an operator."""
    plan, (nt, nz, ny, nx) = transport.plan, transport.meteorology.shape
    return {
        "cells": f"{nz} × {ny} × {nx}",
        "intervals": nt,
        "interval_s": transport.meteorology.interval,
        "steps_per_interval": plan.steps,
        "sub_sweeps_x": max(n for _, _, n in plan.slabs_x),
        "sub_sweeps_y": max(n for _, _, n in plan.slabs_y),
    }


def without_losses(transport: EulerianTransport) -> EulerianTransport:
    """The same operator for a tracer that neither decays nor settles: only that one stays uniform."""
    return eqx.tree_at(lambda T: (T.decay, T.deposition), transport, (None, None), is_leaf=lambda x: x is None)


def transport_evidence(
    transport: EulerianTransport, sources: Sources, adjoint: float | None = None, pairs: int = 1
) -> Evidence:
    """Continuity, uniform tracer, Courant number, mass budget and adjoint identity.

    Args:
        transport: the operator T.
        sources: emissions and inflow whose budget is drawn up.
        adjoint: adjoint gap of a longer chain where there is one; else that of T is measured.
        pairs: of random vectors for the adjoint of T.
    """
    uniform = uniform_air(transport.in_structure())
    values = {
        "continuity": transport.meteorology.continuity_residual(),
        "uniform_tracer": float(jnp.max(jnp.abs(without_losses(transport).mv(uniform) - 1.0))),
        "courant": largest_courant(transport.meteorology, transport.plan),
        "budget_closure": budget(transport, sources).closure,
    }
    notes = ()
    if adjoint is not None:
        values["adjoint_identity"] = adjoint
    else:
        linear = transport if transport.is_linear else eqx.tree_at(lambda T: T.scheme, transport, PPM())
        values["adjoint_identity"] = adjoint_gap(linear, pairs)
    if not transport.is_linear:
        name = type(transport.scheme).__name__
        notes = (f"{name} follows the field and has no adjoint: the adjoint identity is that of PPM without limiter.",)
    # A sweep counts the same air in single precision with that precision's rounding.
    single = jax.tree.leaves(transport.meteorology.air)[0].dtype == jnp.float32
    limits = {name: LIMITS[name] * (SINGLE if single and name != "courant" else 1.0) for name in values}
    limits["adjoint_identity"] = min(limits["adjoint_identity"], 1e-5)
    return Evidence(values, limits, plan_facts(transport), notes)
