"""The section of a report that sets a total beside the bottom-up account of the same measurand."""

from typing import Any

from experiments.numbers import number, value_place, with_uncertainty
from experiments.products.style import pretty

TEXT = {
    "accounts": "Beside the bottom-up account",
    "inversion_row": "Inversion",
    "account_row": "Account ({method})",
    "sector_row": "– of which {sector} (approach 1)",
    "difference_row": "Inversion minus account",
    "agree": "Inversion and account agree within their expanded uncertainties: Eₙ = {E_n}, z = {z}.",
    "disagree": "Inversion and account do not agree within their expanded uncertainties: Eₙ = {E_n}, z = {z}. At "
    "least one of the two values or uncertainties is wrong, or they do not count the same.",
    "skewed_why": "One of the two is not symmetric: its U is the part of its interval on the side of the other. ",
    "comparison_why": "Same gas, mask, period, sectors and kind, by the definition that both state. "
    "z = difference/u(difference); Eₙ = difference/U(difference), |Eₙ| ≤ 1 agrees. Correlation of the two errors, as "
    "the account states it: {correlation}. File: {file} (sha256 {sha256}…).",
}


def _row(name: str, unit: str, value: float, u: float, U: float | None = None) -> dict[str, Any]:
    """A line of the table; without a U of its own it is one of the small ones, with k = 2."""
    shown, u_shown = with_uncertainty(value, u)
    expanded = number(2.0 * u if U is None else U, value_place(u, value))
    return {"name": name, "value": shown, "u": u_shown, "U": expanded, "unit": pretty(unit), "strong": U is not None}


def accounts_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One table per account, from summary.json's `accounts`."""
    sections = []
    for b in found:
        unit = b["unit"]
        rows = [
            _row(TEXT["inversion_row"], unit, **b["inversion"]),
            _row(TEXT["account_row"].format(method=b["method"].removeprefix("account, ")), unit, **b["account"]),
        ]  # fmt: skip
        if len(b["sectors"]) > 1:
            rows += [_row(TEXT["sector_row"].format(sector=pretty(s["sector"])), unit, s["value"], s["u"])
                     for s in b["sectors"]]  # fmt: skip
        rows.append(_row(TEXT["difference_row"], unit, b["difference"], b["u_difference"], 2.0 * b["u_difference"]))
        sentence = TEXT["agree" if b["agree"] else "disagree"]
        sections.append({
            "region": pretty(b["region"]),
            "sentence": sentence.format(E_n=number(b["E_n"], -2), z=number(b["z"], -2)),
            "rows": rows,
            "why": (TEXT["skewed_why"] if b["skewed"] else "") + TEXT["comparison_why"].format(
                correlation=number(b["correlation"], -2), file=b["file"], sha256=b["sha256"][:12]
            ),
        })  # fmt: skip
    return sections
