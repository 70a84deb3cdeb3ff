"""Generated monitoring data of stacks and power plant units, as text of the files that readers take. Never data."""

from collections.abc import Sequence

import numpy as np

from priors.hourly_table import SeriesMap

STACK_MAP = SeriesMap(
    name="synthetic stack", time="time", utc_offset=8.0, stamp="start",
    columns={"concentration": {"column": "CO2", "unit": "%"}, "flow": {"column": "flow", "unit": "m3 h-1"},
             "temperature": {"column": "T", "unit": "degC"}, "pressure": {"column": "p", "unit": "hPa"},
             "moisture": {"column": "H2O", "unit": "%"}},
    status="flag", words={"measured": ["M"], "substitute": ["S"], "off": ["X"], "missing": ["N"]},
    labels={"cylinder": "cylinder", "audit": "audit"}, attribution="synthetic",
)  # fmt: skip


def stack_text(hours: int, first: str = "2021-01-01", noise: float = 0.0, seed: int = 0) -> str:
    """CSV of a stack with 12 % CO2 in dry gas, 1.8·10⁶ m3 h-1 at 400 K and 101 325 Pa, 8 % water; clock UTC+8.

    Two cylinders (January–June, July–December) and four audits (quarters) per year.

    Args:
        hours: rows.
        first: day of the first row by the local clock.
        noise: relative spread of CO2 and flow.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    times = np.datetime64(first, "h") + np.arange(hours)
    month = times.astype("datetime64[M]").astype(int) % 12
    factors = 1.0 + noise * rng.standard_normal((2, hours))
    rows = ["time,CO2,flow,T,p,H2O,flag,cylinder,audit"]
    rows += [
        f"{t}:00,{12.0 * a:.10g},{1.8e6 * b:.10g},126.85,1013.25,8,M,C{m // 6 + 1},A{m // 3 + 1}"
        for t, m, a, b in zip(times.astype(str), month.tolist(), *factors.tolist(), strict=True)
    ]
    return "\n".join(rows) + "\n"


def campd_text(tons: Sequence[float | None], indicators: Sequence[str], first: str = "2021-01-01") -> str:
    """CSV of one unit (facility 3, unit 1, AL) as CAMPD writes it; None where the unit does not operate.

    Args:
        tons: short tons of CO2 in each hour.
        indicators: Measure Indicator of each hour.
        first: day of the first row, local standard time.
    """
    rows = [
        "State,Facility Name,Facility ID,Unit ID,Associated Stacks,Date,Hour,Operating Time,Gross Load (MW),"
        "CO2 Mass (short tons),CO2 Mass Measure Indicator,CO2 Rate (short tons/mmBtu),Heat Input (mmBtu),"
        "Primary Fuel Type"
    ]
    for i, (t, word) in enumerate(zip(tons, indicators, strict=True)):
        day = np.datetime64(first) + i // 24
        end = "0.00,,,,,," if t is None else f"1.00,{t * 0.97:.0f},{t:.3f},{word},0.103,{t / 0.103:.3f},"
        rows.append(f'AL,"Synthetic, Plant",3,1,CS0AAN,{day},{i % 24},{end}Coal')
    return "\n".join(rows) + "\n"
