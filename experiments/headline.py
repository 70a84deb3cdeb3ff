"""The answer of a run in one or two sentences."""

from typing import Any


def headline(summary: dict[str, Any]) -> list[str]:
    """Sentences on the first total of a summary."""
    total = summary["totals"][0]
    tag = "SYNTHETIC " if summary["synthetic"] else ""
    text = (
        f"{tag}{total['region']} ({total['period']}): "
        f"{total['posterior']:.2f} {total['unit']}, u = {total['u_posterior']:.2f}, "
        f"k = {total['k']:.0f} interval {total['interval'][0]:.2f} … {total['interval'][1]:.2f}; "
        f"prior {total['prior']:.2f} ± {total['u_prior']:.2f}"
    )
    if "truth" in total:
        text += f"; truth {total['truth']:.2f}"
    fit = summary["fit"][0]
    quality = (
        f"χ² = {summary['chi2']:.2f}, DFS = {summary['dfs']:.1f} of {summary['n_obs']} observations, "
        f"RMSE {fit['rmse_prior']:.1f} → {fit['rmse_posterior']:.1f} {fit['unit']}"
    )
    return [text, quality]
