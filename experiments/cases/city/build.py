"""The generated city itself: weather, transport, hours and stacks."""

import dataclasses
import datetime
import enum

import numpy as np

from experiments import schema
from experiments.schemes import scheme_of
from priors import synthetic
from transport.errors import TanhengError
from transport.eulerian import EulerianTransport
from transport.grid import Grid
from transport.levels import IsothermalHeights
from transport.readers.synthetic import Basin, basin_meteorology, local_hour
from transport.sources import Injection

HOURS_PER_DAY = 24
# Truth and model share the operator, so the error of longer mixing steps cancels.
LONGEST_STEP = 900.0  # s


@dataclasses.dataclass(frozen=True, eq=False)
class City:
    """Grid, weather, inventory and the operators built on them."""

    grid: Grid
    levels: IsothermalHeights
    hours: np.ndarray
    local: np.ndarray
    stacks: list[synthetic.Stack]
    transport: EulerianTransport
    start: np.datetime64
    basin: Basin

    @property
    def day(self) -> np.ndarray:
        """(nt,) index of the 24 h period of each hour."""
        return self.hours // HOURS_PER_DAY

    @property
    def days(self) -> int:
        """Number of (possibly incomplete) days."""
        return int(self.day[-1]) + 1


def build(config: schema.Config) -> City:
    """Grid, weather and transport of the configured city.

    Raises:
        TanhengError: an option that the case cannot use, or a value out of range.
    """
    case = schema.expect(config.case, schema.CityCase, "case", "city")
    weather = schema.expect(config.meteorology, schema.BasinMeteorology, "meteorology", "city")
    prior = schema.expect(config.prior, schema.CityPrior, "prior", "city")
    transport = schema.expect(config.transport, schema.EulerianTransport, "transport", "city")
    _require_usable(transport)
    crs = f"+proj=laea +lat_0={case.latitude} +lon_0={case.longitude} +datum=WGS84 +units=m"
    edges = (np.arange(case.cells + 1) - case.cells / 2) * case.spacing_km * 1e3
    grid, levels = Grid(edges, edges, crs), IsothermalHeights(np.array(case.level_edges_m))
    hours = np.arange(weather.hours)
    start = _start(case.start)
    start_hour = float((start - start.astype("datetime64[D]")) / np.timedelta64(1, "h"))
    basin = Basin(**dataclasses.asdict(weather), start_hour_utc=start_hour)
    meteorology = basin_meteorology(grid, levels, basin)
    stacks = [
        synthetic.Stack(p.name, p.east_km * 1e3, p.north_km * 1e3, p.mt_per_year, p.height_m) for p in prior.points
    ]
    cells = np.array([grid.cell_of(s.x, s.y, s.name) for s in stacks], dtype=int).reshape(-1, 2)
    injection = Injection(
        row=cells[:, 0],
        column=cells[:, 1],
        profile=np.array([synthetic.injection_profile(levels, s.height) for s in stacks]).reshape(-1, levels.count),
    )
    return City(
        grid=grid,
        levels=levels,
        hours=hours,
        local=local_hour(hours, start_hour, weather.utc_offset),
        stacks=stacks,
        transport=EulerianTransport(
            meteorology,
            grid.areas,
            injection,
            scheme_of(transport),
            max_courant=transport.max_courant,
            max_seconds=transport.max_seconds or LONGEST_STEP,
        ),
        start=start,
        basin=basin,
    )


def _require_usable(transport: schema.EulerianTransport) -> None:
    """The generated city brings its own mixing, and its inversion needs the adjoint in double precision."""
    if transport.scheme in schema.LIMITED:
        raise TanhengError(
            "case city cannot use a limited scheme", got=f"transport.scheme={transport.scheme.value}",
            expected="upwind, third_order, fifth_order, seventh_order or ppm: a limited scheme depends on the field, "
            "so it has no adjoint, and the rows of H come from the adjoint",
            remedy="choose transport.scheme=ppm; limited schemes serve task=simulate",
        )  # fmt: skip
    default = schema.EulerianTransport()
    for name in ("mixing", "background_diffusivity", "precision", "split"):
        got, expected = getattr(transport, name), getattr(default, name)
        if got != expected:
            text = [v.name if isinstance(v, enum.Enum) else v for v in (got, expected)]
            raise TanhengError(
                f"case city cannot use transport.{name}", got=text[0],
                expected=f"{text[1]}: the generated weather brings its own mixing, hour by hour, in double precision",
                remedy=f"leave transport.{name} as it is",
            )  # fmt: skip


def _start(text: str) -> np.datetime64:
    try:
        parsed = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise TanhengError(
            "case.start is not a time", got=text, expected="ISO 8601 in UTC, e.g. 2025-04-06T16:00",
            remedy="write year-month-dayThour:minute",
        ) from error  # fmt: skip
    if parsed.tzinfo is not None:
        parsed = parsed.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(parsed, "s")
