"""task=prior: the prior of a region, one map per sector, and what it says it knows of its totals."""

import numpy as np

from experiments import schema
from experiments.cases.region import Region, build
from experiments.numbers import number, rounded, value_place, with_uncertainty
from experiments.products.units import MASSES
from experiments.study import Study, Table
from priors.covariance import Total, uncertainty

ROUNDING = 1e-9  # of the mass inside


def _row(total: Total, label: str, u: float, own: float, factor: float) -> tuple[str, ...]:
    value, sigma = total.value * factor, u * factor
    shown, error = with_uncertainty(value, sigma)
    share = number(200.0 * sigma / abs(value), -1) if value else "–"
    published = "–" if total.relative is None else number(200.0 * total.relative, -1)
    before = number(own * factor, value_place(own * factor))
    return label, shown, before, error, number(2.0 * sigma, value_place(sigma)), share, published


def _totals(region: Region) -> tuple[Table, list[dict]]:
    factor, unit = MASSES[region.species]
    known = region.uncertainty
    weights = np.stack([t.weights for t in known.totals], axis=1)
    each = list(zip(known.totals, uncertainty(known.B, weights).tolist(), known.before.tolist(), strict=True))
    rows = tuple(_row(t, region.labels.get(t.name, t.name), u, own, factor) for t, u, own in each)
    numbers = [
        {"name": t.name, "label": region.labels.get(t.name, t.name), "value": t.value * factor, "u": u * factor,
         "u_before": own * factor, "unit": unit, "published_relative": t.relative}
        for t, u, own in each
    ]  # fmt: skip
    heads = ("Total", unit, "u before", "u", "U (k = 2)", "U, %", "published U, %")
    caption = (
        "Mean rates over the window; u as B implies it, of factors constant over the window. u before: from the errors "
        "of the sectors alone; u: with the published uncertainty of all emissions."
    )
    if all(t.relative is None for t in known.totals):
        heads, rows = (*heads[:2], *heads[3:6]), tuple((*r[:2], *r[3:6]) for r in rows)
        caption = "Mean rates over the window; u as B implies it, of factors constant over the window."
    return Table("What the prior says", heads, rows, caption, numbers=tuple(range(1, len(heads)))), numbers


def _files(region: Region) -> Table:
    factor, unit = MASSES[region.species]
    rows = []
    for f in region.files:
        gone = ", ".join(f"{s} ({rounded(v * factor)})" for s, v in f.left_out.items()) or "–"
        share = f"{number(100.0 * f.covered, -1)} %"
        outside = f.outside if abs(f.outside) > ROUNDING * abs(f.inside) else 0.0
        mass = rounded(f.inside * factor), rounded(outside * factor)
        rows.append((", ".join(f.names), f.period, share, *mass, gone))
    heads = ("File", "Period", "Covers", f"Inside, {unit}", "Outside", "Left out inside")
    caption = (
        "Means over what the file holds, before plants are taken out. Covers: of the region. Outside: in those cells "
        "around the region that were read."
    )
    return Table("Inventories", heads, tuple(rows), caption, numbers=(2, 3, 4))


def _record(region: Region) -> tuple[Table, Table]:
    """Checksums, and what was done."""
    files = tuple((f.name, f.sha256[:12], f.reader) for f in region.hours.sources)
    done = [s for s in region.hours.steps if s.what != "read"]
    rows = [
        (s.what.split("(")[0].split(" to Grid")[0].strip(), "; ".join(f"{why}: {n}" for why, n in s.dropped) or "–")
        for s in done
    ]
    steps = tuple(dict.fromkeys(rows))
    return Table("Files", ("File", "SHA-256", "Reader"), files), Table("Steps", ("Step", "Left out"), steps)


def _sentence(region: Region, first: dict) -> str:
    shown, u = with_uncertainty(first["value"], first["u"])
    emitting = len(region.annual.sectors)
    other = len(region.hours.sectors) - emitting
    beside = f", beside {other} of vegetation," if other else ""
    rows, columns = region.hours.grid.shape
    return (
        f"{first['name'].capitalize()}: {shown} ± {u} {first['unit']} (standard uncertainty) in {emitting} "
        f"{'sector' if emitting == 1 else 'sectors'}{beside} on {rows} × {columns} cells."
    )


def prior(config: schema.Config) -> Study:
    """Build, count, describe.

    Raises:
        TanhengError: as `experiments.cases.region.build`.
    """
    region = build(config)
    table, numbers = _totals(region)
    shown, u = with_uncertainty(numbers[0]["value"], numbers[0]["u"])

    def sectors():
        from experiments.products.sectors import draw_sectors

        return draw_sectors(region)

    def hours():
        from experiments.products.sectors import draw_hours

        return draw_hours(region)

    def dataset(path):
        from experiments.products.prior_netcdf import write_prior

        write_prior(region, path)

    return Study(
        setup=region,
        title=region.title,
        numbers={
            "species": region.species, "totals": numbers, "sectors": list(region.hours.sectors),
            "hours": len(region.hours.times) - 1, "generated": region.synthetic,
            "covered": {", ".join(f.names): f.covered for f in region.files},
        },
        sentences=(_sentence(region, numbers[0]),),
        tables=(table, _files(region), *_record(region)),
        figures={"sectors": sectors, "hours": hours},
        datasets={"prior": dataset},
        notes=(*region.notes, *dict.fromkeys(note for f in region.hours.sources for note in f.notes)),
        sweep={"total": f"{shown} ± {u}", "unit": numbers[0]["unit"]},
    )  # fmt: skip
