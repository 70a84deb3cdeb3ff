"""task=prior: the prior of a region, one map per sector, and what it says it knows of its totals."""

import numpy as np

from experiments import schema
from experiments.cases.region import Region, build
from experiments.numbers import number, value_place, with_uncertainty
from experiments.study import Study, Table
from inversion.covariance import AbstractCovariance
from priors.covariance import Total, uncertainty
from priors.inventory import KILOGRAMS_PER_MEGATONNE
from transport.constants import SECONDS_PER_YEAR

# Unit of totals: Mt yr-1 of CO2, kt yr-1 of CH4.
UNITS = {"CO2": (1.0, "Mt CO2 yr-1"), "CH4": (1e3, "kt CH4 yr-1")}


def _row(total: Total, u: float, factor: float) -> tuple[str, ...]:
    value, sigma = total.value * factor, u * factor
    shown, error = with_uncertainty(value, sigma)
    share = number(200.0 * sigma / abs(value), -1) if value else "–"
    published = "–" if total.relative is None else number(200.0 * total.relative, -1)
    return total.name, shown, error, number(2.0 * sigma, value_place(sigma)), share, published


def _totals(region: Region, B: AbstractCovariance) -> tuple[Table, list[dict]]:
    scale, unit = UNITS[region.species]
    factor = scale * SECONDS_PER_YEAR / KILOGRAMS_PER_MEGATONNE
    sigma = uncertainty(B, np.stack([t.weights for t in region.totals], axis=1))
    rows = tuple(_row(t, float(u), factor) for t, u in zip(region.totals, sigma, strict=True))
    numbers = [
        {"name": t.name, "value": t.value * factor, "u": float(u) * factor, "unit": unit, "published": t.relative}
        for t, u in zip(region.totals, sigma, strict=True)
    ]
    heads = ("Total", unit, "u", "U (k = 2)", "U, %", "published U, %")
    caption = "Mean rates over the window; u as B implies it, of factors constant over the window."
    return Table("What the prior says", heads, rows, caption, numbers=(1, 2, 3, 4, 5)), numbers


def prior(config: schema.Config) -> Study:
    """Build, count, describe.

    Raises:
        TanhengError: as `experiments.cases.region.build`.
    """
    region = build(config)
    table, numbers = _totals(region, region.B)
    files = tuple((f.name, f.sha256[:12], f.reader) for f in region.annual.sources)
    done = [s for s in region.annual.steps if s.what != "read"]
    left_out = ["; ".join(f"{why}: {count}" for why, count in s.dropped) or "–" for s in done]
    steps = tuple((s.what.split("(")[0].strip(), why) for s, why in zip(done, left_out, strict=True))
    first = numbers[0]
    shown, u = with_uncertainty(first["value"], first["u"])

    def sectors():
        from experiments.products.sectors import draw_sectors

        return draw_sectors(region)

    def hours():
        from experiments.products.sectors import draw_hours

        return draw_hours(region)

    return Study(
        setup=region,
        title=region.title,
        numbers={"totals": numbers, "sectors": list(region.hours.sectors), "hours": len(region.hours.times) - 1},
        sentences=(
            f"{first['name']}: {shown} ± {u} {first['unit']} (standard uncertainty) in {len(region.hours.sectors)} "
            f"sectors on {region.hours.grid.shape[0]} × {region.hours.grid.shape[1]} cells.",
        ),
        tables=(
            table, Table("Files", ("File", "SHA-256", "Reader"), files),
            Table("Steps", ("Step", "Left out"), steps),
        ),
        figures={"sectors": sectors, "hours": hours},
        notes=(*region.notes, *dict.fromkeys(note for f in region.annual.sources for note in f.notes)),
        sweep={"total": f"{shown} ± {u}", "unit": first["unit"]},
    )  # fmt: skip
