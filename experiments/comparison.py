"""Totals of an inversion beside bottom-up accounts of the same measurand.

    z = (a − b)/u(a − b),      E_n = (a − b)/U(a − b);      a the inversion's, b the account's mean rate, kg s⁻¹

An account is compared only with a total of the same gas, mask, period, sectors and kind; anything else is refused.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from experiments.cases import TotalSpec
from experiments.outcome import Total
from inversion.budget import Comparison, Estimate, Measurand, compare
from inversion.observations.typed import build, entries
from priors.account import Account, Line, Summed
from transport.constants import SECONDS_PER_HOUR, SECONDS_PER_YEAR
from transport.errors import TanhengError

MASSES = {"t": 1e3, "kt": 1e6, "Gg": 1e6, "Mt": 1e9, "Tg": 1e9}
TIMES = {"h-1": SECONDS_PER_HOUR, "yr-1": SECONDS_PER_YEAR}
SEED = 1


@dataclasses.dataclass(frozen=True)
class _Header:
    """The `measurand` of an account's file, as YAML gives it."""

    gas: str
    area: str
    area_sha256: str
    start: str
    end: str
    sectors: tuple[str, ...] = ()
    kind: str = "emission"


@dataclasses.dataclass(frozen=True)
class AccountFile:
    """An account and how its error hangs together with the inversion's.

    Args:
        account: its lines and measurand.
        correlation: r of the errors of account and inversion, e.g. through an inventory that is the prior of one.
        path, sha256: of the file.
    """

    account: Account
    correlation: float
    path: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Beside:
    """A total of the inversion, the account of the same measurand, and their comparison.

    Args:
        file: the account's.
        region: name of the total.
        inversion, account: kg s-1.
        comparison: difference, z and E_n.
        sectors: the account by sector, approach 1, kg over the period.
        per_second: kg s-1 of one unit of the total.
        unit: of the total.
    """

    file: AccountFile
    region: str
    inversion: Estimate
    account: Estimate
    comparison: Comparison
    sectors: dict[str, Summed]
    per_second: float
    unit: str


def read_account(path: str) -> AccountFile:
    """An account from YAML: `measurand`, `lines` and, where errors are shared with the inversion, `correlation`.

    Raises:
        TanhengError: no such file, other names, lines that are no account of the measurand.
    """
    try:
        content = Path(path).read_bytes()
        tree = yaml.safe_load(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise TanhengError(
            "an account cannot be read", got=f"{path}: {' '.join(str(error).split())[:200]}",
            expected="a YAML file with `measurand:` and `lines:`",
            remedy="correct the path in task.accounts or the file; docs/comparison.md has an example",
        ) from error  # fmt: skip
    names, got = {"measurand", "lines"}, ", ".join(map(str, tree)) if isinstance(tree, dict) else "no mapping"
    if not isinstance(tree, dict) or not names <= set(tree) <= names | {"correlation"}:
        raise TanhengError(
            "this is no account", got=f"{path}: {got}",
            expected="`measurand:`, `lines:` and perhaps `correlation:`",
            remedy="copy the measurand from `totals` in the summary.json of the inversion; see docs/comparison.md",
        )  # fmt: skip
    given = tree["measurand"]
    if isinstance(given, dict):  # YAML has made dates of what looks like dates
        given = given | {k: str(given[k]).replace(" ", "T") for k in ("start", "end") if k in given}
    h = build(_Header, given, "the measurand")
    measurand = Measurand(h.gas, h.area, h.area_sha256, h.start, h.end, frozenset(h.sectors), h.kind)  # type: ignore
    lines = [build(Line, e, f"line {i + 1}") for i, e in enumerate(entries(tree["lines"], "lines"))]
    r = tree.get("correlation", 0.0)
    if isinstance(r, bool) or not isinstance(r, int | float) or not -1.0 < r < 1.0:
        raise TanhengError("this is no correlation", got=repr(r)[:80], expected="a number between −1 and 1",
                           remedy="correct `correlation` of the account")  # fmt: skip
    return AccountFile(Account(measurand, tuple(lines)), float(r), path, hashlib.sha256(content).hexdigest())


def place_of(file: AccountFile, totals: TotalSpec) -> int:
    """Index of the total whose measurand the account states.

    Raises:
        TanhengError: no total of the case has this measurand; says what differs.
    """
    differences = {}
    for i, measurand in enumerate(totals.measurands):
        if measurand is None:
            continue
        unlike = file.account.measurand.unlike(measurand)
        if not unlike:
            return i
        differences[totals.regions[i]] = unlike
    closest = min(differences, key=lambda name: len(differences[name]), default=None)
    raise TanhengError(
        f"the account of {file.account.measurand.area} states what no total of this case is",
        got=f"{file.path}: beside “{closest}”, {'; '.join(differences[closest])}" if closest else file.path,
        expected="the gas, mask, period, sectors and kind of one of: " + ", ".join(differences)
        if differences else "a case that states the measurands of its totals",
        remedy="copy the measurand from `totals` in summary.json of a run without accounts, and count for it",
    )  # fmt: skip


def kilograms_per_second(unit: str) -> float:
    """kg s-1 of one unit like "Tg CO2 yr-1"."""
    mass, _, time = unit.split()
    return MASSES[mass] / TIMES[time]


def beside(file: AccountFile, spec: TotalSpec, totals: tuple[Total, ...]) -> Beside:
    """Compare an account with the total that it stands beside.

    Args:
        file: the account.
        spec: of the case.
        totals: of the solved case, in the same order.
    """
    i = place_of(file, spec)
    total, measurand = totals[i], spec.measurands[i]
    assert measurand is not None
    scale = kilograms_per_second(total.unit)
    # From 2.5 % to 97.5 %: 95 %, where k = 2 has 95.45 %.
    interval = None if total.quantiles is None else (scale * total.quantiles[0], scale * total.quantiles[1])
    ours = Estimate(measurand, scale * total.posterior, scale * total.u_posterior, "inversion", interval=interval)
    theirs = file.account.estimate(SEED)
    return Beside(file, total.region, ours, theirs, compare(ours, theirs, file.correlation), file.account.by_sector(),
                  scale, total.unit)  # fmt: skip


def stated(measurand: Measurand) -> dict[str, Any]:
    """A measurand as an account's file states it."""
    return dataclasses.asdict(measurand) | {
        "start": str(measurand.start), "end": str(measurand.end), "sectors": sorted(measurand.sectors),
    }  # fmt: skip


def summarised(found: Beside) -> dict[str, Any]:
    """The comparison for summary.json, values in the unit of the total."""
    scale, c = found.per_second, found.comparison
    seconds = float((found.account.measurand.end - found.account.measurand.start) / np.timedelta64(1, "s"))
    return {
        "region": found.region,
        "unit": found.unit,
        "file": found.file.path,
        "sha256": found.file.sha256,
        "inversion": {"value": found.inversion.value / scale, "u": found.inversion.u / scale, "U": c.U[0] / scale},
        "account": {"value": found.account.value / scale, "u": found.account.u / scale, "U": c.U[1] / scale},
        "method": found.account.method,
        "difference": c.difference / scale,
        "u_difference": c.u / scale,
        "correlation": c.correlation,
        "z": c.z,
        "skewed": c.skewed,
        "E_n": c.E_n,
        "agree": c.agree,
        "sectors": [
            {"sector": name, "value": s.kilograms / seconds / scale, "u": s.u / seconds / scale, "percent": s.percent}
            for name, s in found.sectors.items()
        ],
    }  # fmt: skip
