"""Typed configuration: every group option is one of these nodes, so that a typo fails before anything runs.

One file per group. The values of a case live in `configs/`; here are the names, the types and the limits.
"""

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from experiments.schema.case import (
    BerlinCase,
    BowenBasinCase,
    BowenDate,
    Case,
    CityCase,
    NewZealandCase,
    PlumeCase,
    RegionCase,
    UnitedKingdomCase,
)
from experiments.schema.control import (
    BerlinControl,
    BowenControl,
    CellsAndBoundary,
    CityControl,
    Control,
    NoControl,
    RegionsAndBoundary,
    RegionWeeks,
)
from experiments.schema.covariance import Covariance, DiagonalCovariance, ExponentialCovariance, NoCovariance
from experiments.schema.limits import require
from experiments.schema.meteorology import (
    AnalysisMeteorology,
    ArlMeteorology,
    BasinMeteorology,
    EcmwfMeteorology,
    Era5ModelMeteorology,
    Era5PressureMeteorology,
    Era5UtmMeteorology,
    FileMeteorology,
    Meteorology,
    NoMeteorology,
    WrfMeteorology,
)
from experiments.schema.observations import (
    BowenSoundings,
    CityObservations,
    Co2mObservations,
    MismatchRule,
    NewZealandObservations,
    NoObservations,
    Observations,
    Overpass,
    Tower,
    UnitedKingdomObservations,
)
from experiments.schema.prior import (
    BerlinPrior,
    BowenPrior,
    CityPrior,
    InventoryFile,
    InventoryPrior,
    NewZealandPrior,
    NoPrior,
    Ocean,
    Plant,
    PointSource,
    Prior,
    SectorError,
    SectorHeating,
    SectorProfile,
    UnitedKingdomPrior,
)
from experiments.schema.products import Products
from experiments.schema.solver import (
    AnalyticSolver,
    DrawingSolver,
    Eigenpairs,
    EnsembleSolver,
    EsMdaSolver,
    GeostatisticalSolver,
    LetkfSolver,
    LogNormalSolver,
    NoSolver,
    SamplingSolver,
    SequentialSolver,
    Solver,
    Space,
    TransportSolver,
    TruncatedSolver,
    VariationalSolver,
)
from experiments.schema.task import BuildPrior, Check, Hyperparameters, Invert, Network, Osse, Preview, Simulate, Task
from experiments.schema.transport import (
    LIMITED,
    EulerianTransport,
    GriddedSensitivities,
    MixingScheme,
    NoTransport,
    Pattern,
    Precision,
    RegionResponses,
    Scheme,
    TaggedTracers,
    Transport,
)
from transport.errors import TanhengError

__all__ = [
    "AnalysisMeteorology", "AnalyticSolver", "ArlMeteorology", "BasinMeteorology", "BerlinCase", "BerlinControl",
    "BerlinPrior", "BowenBasinCase", "BowenControl", "BowenDate", "BowenPrior", "BowenSoundings", "BuildPrior",
    "Case", "CellsAndBoundary", "Check", "CityCase", "CityControl", "CityObservations", "CityPrior",
    "Co2mObservations", "Config", "Control", "Covariance", "DiagonalCovariance", "DrawingSolver",
    "EcmwfMeteorology", "Eigenpairs", "EnsembleSolver", "Era5ModelMeteorology", "Era5PressureMeteorology",
    "Era5UtmMeteorology", "EsMdaSolver", "EulerianTransport", "ExponentialCovariance", "FileMeteorology",
    "GeostatisticalSolver", "GriddedSensitivities", "Hyperparameters", "InventoryFile", "InventoryPrior", "Invert",
    "LIMITED", "LetkfSolver", "LogNormalSolver", "Meteorology", "MismatchRule", "MixingScheme", "NODES", "Network",
    "NewZealandCase", "NewZealandObservations", "NewZealandPrior", "NoControl", "NoCovariance", "NoMeteorology",
    "NoObservations", "NoPrior", "NoSolver", "NoTransport", "Observations", "Ocean", "Osse", "Overpass", "Pattern",
    "Plant", "PlumeCase", "PointSource", "Precision", "Preview", "Prior", "Products", "RegionCase",
    "RegionResponses", "RegionWeeks", "RegionsAndBoundary", "SamplingSolver", "Scheme", "SectorError",
    "SectorHeating", "SectorProfile", "SequentialSolver", "Simulate", "Solver", "Space", "TaggedTracers", "Task",
    "Tower", "Transport", "TransportSolver", "TruncatedSolver", "UnitedKingdomCase", "UnitedKingdomObservations",
    "UnitedKingdomPrior", "VariationalSolver", "WrfMeteorology", "expect", "register", "require_chosen", "typed",
]  # fmt: skip


@dataclass
class Config:
    """One run."""

    task: Task = MISSING
    case: Case = MISSING
    meteorology: Meteorology = MISSING
    transport: Transport = MISSING
    observations: Observations = MISSING
    prior: Prior = MISSING
    control: Control = MISSING
    covariance: Covariance = MISSING
    solver: Solver = MISSING
    products: Products = MISSING
    seed: int = 0

    def __post_init__(self):
        require(0 <= self.seed < 2**32, "seed", self.seed, "0…4294967295")


# Which node stands behind which option of which group: configs/GROUP/NAME.yaml begins with /schema/GROUP/NAME.
NODES: dict[str, dict[str, type]] = {
    "task": {
        "invert": Invert,
        "simulate": Simulate,
        "check": Check,
        "osse": Osse,
        "network": Network,
        "preview": Preview,
        "hyperparameters": Hyperparameters,
        "prior": BuildPrior,
    },
    "case": {
        "city": CityCase,
        "nz_co2": NewZealandCase,
        "uk_ch4": UnitedKingdomCase,
        "bowen_basin": BowenBasinCase,
        "berlin": BerlinCase,
        "region": RegionCase,
        "plume": PlumeCase,
    },
    "meteorology": {
        "none": NoMeteorology,
        "basin": BasinMeteorology,
        "wrf": WrfMeteorology,
        "ecmwf": EcmwfMeteorology,
        "era5_pressure": Era5PressureMeteorology,
        "era5_model": Era5ModelMeteorology,
        "era5_utm": Era5UtmMeteorology,
        "arl": ArlMeteorology,
    },
    "transport": {
        "eulerian": EulerianTransport,
        "region_responses": RegionResponses,
        "gridded_sensitivities": GriddedSensitivities,
        "tagged_tracers": TaggedTracers,
        "none": NoTransport,
    },
    "observations": {
        "none": NoObservations,
        "city": CityObservations,
        "nz_co2": NewZealandObservations,
        "uk_ch4": UnitedKingdomObservations,
        "bowen_basin": BowenSoundings,
        "co2m": Co2mObservations,
    },
    "prior": {
        "none": NoPrior,
        "city": CityPrior,
        "nz_co2": NewZealandPrior,
        "uk_ch4": UnitedKingdomPrior,
        "bowen_basin": BowenPrior,
        "berlin": BerlinPrior,
        "inventories": InventoryPrior,
    },
    "control": {
        "none": NoControl,
        "city": CityControl,
        "region_weeks": RegionWeeks,
        "cells_and_boundary": CellsAndBoundary,
        "regions_and_boundary": RegionsAndBoundary,
        "berlin": BerlinControl,
        "bowen_basin": BowenControl,
    },
    "covariance": {"none": NoCovariance, "diagonal": DiagonalCovariance, "exponential": ExponentialCovariance},
    "solver": {
        "none": NoSolver,
        "analytic": AnalyticSolver,
        "variational": VariationalSolver,
        "es_mda": EsMdaSolver,
        "letkf": LetkfSolver,
        "sampling": SamplingSolver,
        "geostatistical": GeostatisticalSolver,
        "sequential": SequentialSolver,
        "lognormal": LogNormalSolver,
        "truncated": TruncatedSolver,
        "transport": TransportSolver,
    },
    "products": {"standard": Products},
}


def register() -> None:
    """Put the nodes into Hydra's store."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, nodes in NODES.items():
        for name, node in nodes.items():
            store.store(group=f"schema/{group}", name=name, node=node)


def typed(resolved: DictConfig) -> Config:
    """The configuration as typed objects.

    Raises:
        TanhengError: an option was added by force (`+name=value`) that no node declares, or a value is out of range.
    """
    _refuse_additions(resolved, "")
    _refuse_unbounded(resolved, "")
    config = OmegaConf.to_object(resolved)
    assert isinstance(config, Config)
    return config


def _refuse_unbounded(node: DictConfig | ListConfig, place: str) -> None:
    entries = node.items() if isinstance(node, DictConfig) else enumerate(node)
    for name, child in entries:
        label = f"{place}{name}"
        if isinstance(child, DictConfig | ListConfig):
            _refuse_unbounded(child, f"{label}.")
        elif isinstance(child, float):
            require(math.isfinite(child), label, child, "a finite number")


def _refuse_additions(node: DictConfig, place: str) -> None:
    kind = OmegaConf.get_type(node)
    declared = [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    for name in map(str, node):
        if declared and name not in declared:
            from experiments.messages import unknown_option

            raise unknown_option(f"{place}{name}", declared)
        child = node[name]
        if isinstance(child, DictConfig):
            _refuse_additions(child, f"{place}{name}.")


def require_chosen(option: str, chosen: list, allowed: Collection) -> None:
    """Refuse a selection that is empty, repeats itself or names what is not there.

    Raises:
        TanhengError: names the option and what it may hold.
    """
    if not chosen or any(c not in allowed for c in chosen) or len(set(chosen)) != len(chosen):
        raise TanhengError(
            f"{option} cannot be used",
            got=list(chosen),
            expected=f"one or more of {', '.join(map(str, allowed))}, each once",
            remedy=f"e.g. {option}=[{next(iter(allowed))}]",
        )


def expect(node, kind: type, group: str, case: str):
    """The node, if it is of the kind that a case can use.

    Raises:
        TanhengError: another option was chosen for the group.
    """
    if not isinstance(node, kind):
        names = [n for n, k in NODES[group].items() if issubclass(k, kind)]
        got = [n for n, k in NODES[group].items() if type(node) is k]
        raise TanhengError(
            f"case {case} cannot use this {group}",
            got=f"{group}={got[0] if got else type(node).__name__}",
            expected=" or ".join(f"{group}={n}" for n in names),
            remedy=f"leave {group} as the experiment sets it",
        )
    return node
