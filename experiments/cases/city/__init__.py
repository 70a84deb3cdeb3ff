"""SYNTHETIC: a generated basin city whose true emissions are known. Our own transport, towers and columns.

H = O · T · S + columns of bias,   x = area scaling per cell, stacks, respiration and uptake per day,
                                       background per day, bias per overpass
truth = a draw from the prior,     y = H x_true + a draw from R
"""

import dataclasses

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np

from experiments import schema
from experiments.cases import Citation, Setup
from experiments.cases.city.build import LONGEST_STEP, City, build
from experiments.cases.city.observations import above_the_model, observe
from experiments.cases.city.results import map_of, totals_of
from experiments.cases.city.unknowns import blocks_of, structure_of
from experiments.checks import Evidence, transport_evidence
from experiments.progress import stage
from experiments.schemes import scheme_of
from inversion.control import Block, ControlMap, observation_columns
from inversion.covariance import BlockDiagonal
from inversion.observations import Observations, mismatch
from inversion.osse import replicate
from inversion.problem import Problem
from inversion.transport_parameters import BasinMixing, ScaledTransport, TransportParameters
from transport.linear import adjoint_gap, materialise
from transport.sampling import Receptor, Sampler

CITATIONS = (
    Citation(
        "Leonard, B. P. (1979): A stable and accurate convective modelling procedure based on quadratic upstream "
        "interpolation. Comput. Methods Appl. Mech. Eng. 19, 59–98.",
        "10.1016/0045-7825(79)90034-3",
    ),
    Citation(
        "Rodgers, C. D., Connor, B. J. (2003): Intercomparison of remote sounding instruments. J. Geophys. Res. 108.",
        "10.1029/2002JD002299",
    ),
    Citation(
        "Tarantola, A. (2005): Inverse Problem Theory and Methods for Model Parameter Estimation. SIAM.",
        "10.1137/1.9780898717921",
    ),
)


def chain(city: City, blocks: list[Block], receptors: list[Receptor]) -> lx.AbstractLinearOperator:
    """O · T · S as one operator."""
    T = city.transport
    S = ControlMap(blocks, T.in_structure())
    return T.sampled(Sampler(receptors, city.grid, T.out_structure().shape, T.meteorology.interval)) @ S


def assemble(config: schema.Config) -> Setup:
    """The problem of the generated city, with observations drawn from a known truth.

    Raises:
        TanhengError: an option that the case cannot use, or no observation.
    """
    observed = schema.expect(config.observations, schema.CityObservations, "observations", "city")
    with stage("weather and transport"):
        city = build(config)
        receptors, draft = observe(city, observed)
        blocks = blocks_of(city, config, draft.groups)
    with stage("H, row by row from the adjoint") as progress:
        H = materialise(chain(city, blocks, receptors), progress=progress)
        H = H + jnp.asarray(observation_columns(blocks, len(receptors)))
    return _setup(config, city, blocks, H, receptors, draft)


def _setup(
    config: schema.Config, city: City, blocks: list[Block], H, receptors: list[Receptor], draft: Observations
) -> Setup:
    """The case with a truth and observations drawn from the seed."""
    silent = Problem(
        H=lx.MatrixLinearOperator(H),
        x_b=jnp.concatenate([jnp.asarray(b.mean, dtype=float) for b in blocks]),
        B=BlockDiagonal(tuple(b.covariance for b in blocks)),
        y=jnp.zeros(len(draft)),
        R=mismatch.covariance(draft),
        b=jnp.asarray(above_the_model(config, receptors)),
    )
    family, case = _family(city, config, blocks, receptors, silent), config.case
    assert isinstance(case, schema.CityCase)
    scales = {"wind_speed": case.true_wind, "mixing_height": case.true_mixing}
    nature = silent
    if set(scales.values()) != {1.0}:  # the air that was measured moved otherwise than the inversion believes
        nature = family(tuple(scales), dense=False)(jnp.array(list(scales.values())))
    drawn, made = replicate(nature, jax.random.key(config.seed))
    truth, problem = np.asarray(drawn), dataclasses.replace(silent, y=made.y)
    observations = dataclasses.replace(draft, values=np.asarray(problem.y))
    return Setup(
        name="city_osse",
        title="Generated basin city: CO2 emissions from towers and columns",
        synthetic=True,
        species="CO2",
        problem=problem,
        observations=observations,
        totals=totals_of(city, config, blocks, truth),
        map=map_of(city, config, blocks, truth),
        blocks=tuple((b.name, b.size, b.unit) for b in blocks),
        structure=dataclasses.replace(
            structure_of(city, blocks, receptors, config), problem_of=family, true_scales=scales
        ),
        truth=truth,
        citations=CITATIONS,
        seeds={"truth and noise": config.seed},
        notes=(
            "SYNTHETIC: weather, inventory, truth and observations were generated; no measurement went into it.",
            "The truth is one draw from the prior and the observations carry one draw of the stated errors"
            + (
                ", so the assumptions of the inversion hold exactly; real data are less kind."
                if nature is silent
                else f". The true wind speed is {scales['wind_speed']:g} and the true mixing height "
                f"{scales['mixing_height']:g} times what the inversion is given."
            ),
        ),
    )


# Faster winds than this are not answered: the steps are planned for it.
FASTEST = 1.6


def _family(city: City, config: schema.Config, blocks: list[Block], receptors: list[Receptor], problem: Problem):
    """Names of transport parameters ↦ the family of the city's problems in them."""
    transport, options = city.transport, config.transport
    assert isinstance(options, schema.EulerianTransport)

    def family(names: tuple[str, ...], dense: bool = True) -> TransportParameters:
        met = transport.meteorology
        T = ScaledTransport(
            met, city.grid.areas, BasinMixing(met, city.levels.edges[1:-1], city.basin), FASTEST,
            injection=transport.injection, scheme=scheme_of(options), max_courant=options.max_courant,
            max_seconds=options.max_seconds or LONGEST_STEP,
        )  # fmt: skip
        sampler = Sampler(receptors, city.grid, transport.out_structure().shape, met.interval)
        return TransportParameters(T, sampler, blocks, problem.y, problem.R, names, b=problem.b, dense=dense)

    return family


def check(config: schema.Config) -> Evidence:
    """Numerical evidence for the city's chain and its transport operator, with the prior's emissions in the budget."""
    assert isinstance(config.task, schema.Check)
    city = build(config)
    observed = schema.expect(config.observations, schema.CityObservations, "observations", "city")
    receptors, draft = observe(city, observed)
    T, blocks = city.transport, blocks_of(city, config, draft.groups)
    prior = ControlMap(blocks, T.in_structure()).mv(jnp.concatenate([jnp.asarray(b.mean, dtype=float) for b in blocks]))
    return transport_evidence(T, prior, adjoint_gap(chain(city, blocks, receptors), config.task.pairs))
