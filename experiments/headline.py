"""The answer of a run in one or two sentences."""

from typing import Any

from experiments.numbers import number, value_place, with_uncertainty


def headline(summary: dict[str, Any]) -> list[str]:
    """Sentences on the first total of a summary."""
    total = summary["totals"][0]
    tag = "SYNTHETIC " if summary["synthetic"] else ""
    value, u = with_uncertainty(total["posterior"], total["u_posterior"])
    low, high = (number(bound, value_place(total["u_posterior"])) for bound in total["interval"])
    prior = " ± ".join(with_uncertainty(total["prior"], total["u_prior"]))
    text = (
        f"{tag}{total['region']}, mean of {total['period']}: {value} ± {u} {total['unit']} (standard uncertainty); "
        f"k = {total['k']:.0f} interval {low} … {high}; prior {prior}"
    )
    if "truth" in total:
        text += f"; truth {number(total['truth'], value_place(total['u_posterior']))}"
    fit = summary["fit"][0]
    quality = (
        f"misfit ratio {fit['misfit']:.2f} (1 expected), χ² = {summary['chi2']:.2f}, "
        f"DFS = {summary['dfs']:.1f} of {summary['n_obs']} observations, "
        f"RMSE {fit['rmse_prior']:.1f} → {fit['rmse_posterior']:.1f} {fit['unit']}"
    )
    return [text, quality]
