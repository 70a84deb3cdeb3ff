"""What every figure shares: words, colours, number and unit formatting, and a sheet with its header."""

import re
import textwrap
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.cases import Setup
from experiments.cases.region import Region
from experiments.cases.simulation import Simulation

# Every word that appears in a figure, at one place: another language replaces this table.
TEXT = {
    "synthetic": "SYNTHETIC",
    "synthetic_why": "the observations were generated, not measured",
    "prior": "Prior",
    "posterior": "Posterior",
    "truth": "Truth",
    "observed": "Observed",
    "increment": "Posterior − prior",
    "residual": "Observed − modelled",
    "by_sector": "Mean flux of each sector, {first} h to {last} h UTC; colours differ from map to map",
    "by_hour": "What the region emits by the hour",
    "by_day": "What the region emits, means of days (UTC)",
    "empty_sectors": "Nothing is emitted here by: {names}",
    "uncovered": "not covered by the inventory, counted as zero",
    "other_sectors": "other, {count} sectors",
    "sum": "sum",
    "overpass": "{group}: {count} columns, {time} UTC",
    "reduction": "Uncertainty reduction",
    "reduction_of": "Reduction of standard uncertainty",
    "up_to": "{title}, up to {largest} %",
    "flux": "Flux",
    "change": "Change of flux",
    "tower": "tower",
    "point source": "point source",
    "nothing": "not estimated",
    "at_latitude": "{length} km at {latitude}",
    "length": "{length} km",
    "modelled_prior": "Modelled, prior",
    "modelled_posterior": "Modelled, posterior",
    "sigma": "± standard model–data mismatch",
    "values": "{count} values",
    "one_value": "1 value",
    "rmse": "RMSE {before} → {after} {unit}",
    "beyond": "prior values beyond the axis: {count}",
    "sounding": "Sounding",
    "utc": "Time in UTC",
    "interval": "± {k}u",
    "quantiles": "mean, 2.5 … 97.5 %",
    "unit_over": "{unit}, {period}",
    "to": " to ",
    "column": "Column mean",
    "ground": "Near the ground",
    "enhancement": "{species} above the inflow ({unit})",
    "modelled_column": "Modelled, {time}",
    "observed_column": "Observed by {instrument}, {time}",
    "local": "{date} {clock} (UTC{sign}{offset})",
    "mean_until": "Means of {minutes} min; times are their ends, local (UTC{sign}{offset})",
    "soundings": "{count} soundings; both maps relative to {inflow} ppb",
    "observed_axis": "Observed XCH4 (ppb)",
    "modelled_axis": "Modelled XCH4 (ppb)",
    "equal": "equal",
    "r": "r = {r}, mean difference {bias}, RMS {rms} ppb",
    "ours": "Tanheng, mean of the run, above the inflow",
    "theirs": "{name}, above each hour's minimum",
    "r_by_hour": "Correlation over the {cells} common cells",
    "hour": "Hours since the start",
    "replicates": "{region}: {count} replicates",
    "true_total": "True ({unit})",
    "estimated_total": "Estimated ({unit})",
    "actual": "errors",
    "stated": "as stated",
    "z": "Error in stated standard uncertainties",
    "density": "Density",
    "z2": "mean z² = {z2}",
    "ranking": "Points: with all sites down to this one. Dotted: before any of them.",
    "alone": "{region}, this one alone beside the existing network",
    "reduction_percent": "Reduction of standard uncertainty (%)",
    "over_minimum": "Column mean above the background (ppb)",
}

# Okabe and Ito (2008): distinct for colour-blind readers, and in grey.
PRIOR, POSTERIOR, OBSERVED, WARNING = "#e69f00", "#0072b2", "#222222", "#b3261e"
INK, MUTED, RULE = "#222222", "#666666", "#c8c8c8"
TITLE, BODY, SMALL = 11.0, 9.0, 7.5
LINE = 0.2  # inches per header line
MARGIN = 0.12

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUBSTANCES = ("CO2", "CH4", "CO", "C")


def pretty(text: str) -> str:
    """A text with its formulas and units as they are printed: "Tg CO2 yr-1" becomes "Tg CO₂ yr⁻¹".

    Args:
        text: plain text; exponents stand directly after their symbol.

    Returns:
        the text with real superscripts and subscripts.
    """
    if "/" in text:  # an address or a path is copied, not read: leave its words alone
        return "".join(part if "/" in part else pretty(part) for part in re.split(r"(\S*/\S*)", text))
    text = re.sub(r"\b(CO|CH|SO)([24])\b", lambda m: m[1] + m[2].translate(_SUBSCRIPT), text)
    # Only after symbols that carry exponents in our units, so that a name such as "NAME-3" stays whole.
    exponent = r"\b(k?m|s|h|d|yr|kg|mol)(-[1-9]|(?<=m)[23])(?![\w-])"
    return re.sub(exponent, lambda m: m[1] + m[2].translate(_SUPERSCRIPT), text)


def split_unit(unit: str) -> tuple[str, str]:
    """A unit without the substance: UDUNITS knows no "CO2", and takes "C" for coulomb.

    Args:
        unit: e.g. "Tg CO2 yr-1".

    Returns:
        (unit that UDUNITS parses, substance or ""), e.g. ("Tg yr-1", "CO2").
    """
    words = unit.replace("µ", "u").replace("μ", "u").split()
    substance = " ".join(w for w in words if w in _SUBSTANCES)
    return " ".join(w for w in words if w not in _SUBSTANCES) or "1", substance


def pretty_period(period: str) -> str:
    """An ISO 8601 interval as it is printed: "2011-01-01/2013-12-31" becomes "2011-01-01 to 2013-12-31"."""
    return re.sub(r"(\d)T(\d\d:\d\d)(?::\d\d)?Z", r"\1 \2 UTC", period).replace("/", TEXT["to"])


def _header(setup: Setup | Simulation | Region, subtitle: str, width: float) -> list[tuple[str, dict]]:
    bold = {"fontsize": TITLE, "fontweight": "bold", "color": INK}
    lines = [(line, bold) for line in textwrap.wrap(pretty(setup.title), int((width - 2 * MARGIN) / 0.092))]
    for line in textwrap.wrap(subtitle, int((width - 2 * MARGIN) / 0.068)):
        lines.append((line, {"fontsize": BODY, "color": MUTED}))
    if setup.synthetic:
        box = {"boxstyle": "square,pad=0.3", "facecolor": WARNING, "edgecolor": "none"}
        why = setup.synthetic if isinstance(setup.synthetic, str) else TEXT["synthetic_why"]
        text = f"{TEXT['synthetic']}: {why}"
        if len(text) > (width - 2 * MARGIN) / 0.085:  # too narrow: the reason goes below the mark
            text = TEXT["synthetic"]
            reason = {"fontsize": BODY, "fontweight": "bold", "color": WARNING}
            lines[:0] = [(line, reason) for line in textwrap.wrap(why, int((width - 2 * MARGIN) / 0.085))]
        lines.insert(0, (text, {"fontsize": BODY, "fontweight": "bold", "color": "white", "bbox": box}))
    return lines


def sheet(setup: Setup | Simulation | Region, width: float, body: float, subtitle: str = "") -> Figure:
    """A figure with a header that names the case and says so when it is synthetic.

    Args:
        setup: the case.
        width, body: width and height below the header in inches.
        subtitle: a line under the title.

    Returns:
        the figure; its lower `body` inches are free.
    """
    lines = _header(setup, subtitle, width)
    banner = 0.12 if setup.synthetic else 0.0
    height = body + LINE * len(lines) + banner + 2 * MARGIN
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    for i, (text, look) in enumerate(lines):
        shift, drop = (0.06, 0.5 * banner) if "bbox" in look else (0.0, banner)
        y = (height - MARGIN - drop - LINE * (i + 0.5)) / height
        figure.text((MARGIN + shift) / width, y, text, va="center", ha="left", parse_math=False, **look)
    return figure


def corner(figure: Figure, left: float, bottom: float) -> tuple[float, float]:
    """A point in inches from the lower left corner, as fractions of the figure."""
    width, height = figure.get_size_inches()
    return left / width, bottom / height


def rect(figure: Figure, left: float, bottom: float, width: float, height: float) -> tuple[float, float, float, float]:
    """A rectangle in inches from the lower left corner, as fractions of the figure."""
    return (*corner(figure, left, bottom), *corner(figure, width, height))


def save(figure: Figure, path: Path, dpi: int = 140) -> Path:
    """Write a PNG; the same figure gives the same bytes."""
    figure.savefig(path, dpi=dpi, metadata={"Software": None})
    return path
