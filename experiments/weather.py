"""The weather that a configuration names: read, put onto the model grid, balanced, with its mixing."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from experiments import schema
from experiments.data import locate
from experiments.progress import stage
from experiments.schemes import dtype_of, mixing_of
from inversion.observations.operator import Air
from transport.errors import TanhengError
from transport.grid import Grid
from transport.interpolation import to_cells
from transport.levels import FixedHeights, HybridLevels, VerticalLevels
from transport.meteorology import Meteorology
from transport.prepare import Prepared, prepare
from transport.weather import Analysis, Weather

HECTOPASCAL = 100.0  # Pa


@dataclasses.dataclass(frozen=True, eq=False)
class Domain:
    """The air of a run.

    Args:
        grid: model cells.
        prepared: meteorology on them.
        source: what was read, one line.
        inputs: name of each file to its SHA-256.
    """

    grid: Grid
    prepared: Prepared
    source: str
    inputs: dict[str, str]

    @property
    def times(self) -> np.ndarray:
        """(nt+1,) ends of the weather's intervals, before any split."""
        return self.prepared.times

    def air(self, parts: int = 1) -> Air:
        """What the instruments must know, on finer intervals; whoever samples the air needs the same parts."""
        steps = np.round(self._seconds / parts * np.arange(parts * (len(self.times) - 1) + 1)).astype("timedelta64[s]")
        repeated = (np.repeat(np.asarray(edges, float), parts, axis=0)
                    for edges in (self.prepared.pressure_edges, self.prepared.columns.height_edges))  # fmt: skip
        return Air(self.grid, self.times[0].astype("datetime64[s]") + steps, *repeated)

    @property
    def _seconds(self) -> float:
        return float((self.times[1] - self.times[0]) / np.timedelta64(1, "s"))

    def split(self, parts: int) -> Meteorology:
        """The meteorology on finer intervals, in its own precision."""
        whole = self.prepared.meteorology
        return whole.split(parts) if parts > 1 else whole


def read(config: schema.FileMeteorology) -> tuple[Weather | Analysis, dict[str, str]]:
    """The files of a configuration, and their hashes.

    Raises:
        TanhengError: no file is named, a file is missing, or its reader refuses it.
    """
    if not config.files:
        raise TanhengError(
            "meteorology.files is empty", got="no file", expected="paths in the data folder, or absolute ones",
            remedy="e.g. 'meteorology.files=[/data/wrfout_d01_2022-12-07_00:00:00]'",
        )  # fmt: skip
    located = [locate(name) for name in config.files]
    inputs = {name: digest for name, (_, digest) in zip(config.files, located, strict=True)}
    return _read(config, [path for path, _ in located]), inputs


def _read(config: schema.FileMeteorology, paths: list[Path]) -> Weather | Analysis:
    window = (config.start, config.end)
    if isinstance(config, schema.WrfMeteorology):
        from transport.readers.wrf import read_wrf

        return read_wrf(paths, *window, rim=config.rim)
    if isinstance(config, schema.EcmwfMeteorology):
        from transport.readers.ecmwf import read_ecmwf_operational

        return read_ecmwf_operational(paths, *window)
    if isinstance(config, schema.ArlMeteorology):
        from transport.readers.arl import read_arl

        return read_arl(paths, *window)
    from transport.readers import era5

    readers = {
        schema.Era5PressureMeteorology: era5.read_pressure_levels,
        schema.Era5ModelMeteorology: era5.read_model_levels,
        schema.Era5UtmMeteorology: era5.read_utm,
    }
    return readers[type(config)](paths, *window)


def levels_of(config: schema.AnalysisMeteorology) -> VerticalLevels:
    """Layers that an analysis is brought to."""
    if config.level_edges_m:
        return FixedHeights(np.array(config.level_edges_m))
    top = config.top_hpa * HECTOPASCAL or None
    return HybridLevels.l137().thinned(count=config.levels, top_pressure=top)


def native_grid(analysis: Analysis) -> Grid:
    """Cells around the inner points of an analysis: their edges lie within it."""
    if min(analysis.x.size, analysis.y.size) < 5:
        raise TanhengError(
            "the analysis is too small for a grid of its own", got=f"{analysis.y.size} × {analysis.x.size} points",
            expected="at least 5 × 5", remedy="set case.spacing_km and case.extent_km",
        )  # fmt: skip
    return Grid.from_centres(analysis.x[1:-1], analysis.y[1:-1], analysis.crs)


def domain(config: schema.FileMeteorology, transport: schema.EulerianTransport, grid: Grid | None = None) -> Domain:
    """Read, interpolate where needed, balance, mix.

    Args:
        config: files, window, layers.
        transport: mixing scheme, precision, split.
        grid: model cells; None: those of the files.

    Raises:
        TanhengError: a file is missing or refused, or the grid reaches beyond it.
    """
    with stage("weather: reading"):
        air, inputs = read(config)
    with stage("weather: grid, mass balance, mixing"):
        if isinstance(air, Weather):
            if grid is not None:
                raise TanhengError(
                    "WRF output keeps its own cells", got="case.spacing_km > 0", expected="case.spacing_km=0",
                    remedy="leave case.spacing_km at 0 with meteorology=wrf",
                )  # fmt: skip
            weather = air
        else:
            assert isinstance(config, schema.AnalysisMeteorology)
            weather = to_cells(air, grid or native_grid(air), levels_of(config))
        prepared = prepare(weather, mixing_of(transport), config.layers, dtype_of(transport))
        jax.block_until_ready(prepared.meteorology)
    return Domain(weather.grid, prepared, weather.source, inputs)
