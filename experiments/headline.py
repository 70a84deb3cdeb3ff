"""The answer of a run in one or two sentences."""

from typing import Any

from experiments.numbers import number, rounded, value_place, with_uncertainty


def headline(summary: dict[str, Any]) -> list[str]:
    """Sentences on the first total of a summary."""
    total = summary["totals"][0]
    tag = "SYNTHETIC " if summary["synthetic"] else ""
    value, u = with_uncertainty(total["posterior"], total["u_posterior"])
    low, high = (number(bound, value_place(total["u_posterior"])) for bound in total["interval"])
    prior = " ± ".join(with_uncertainty(total["prior"], total["u_prior"]))
    interval = f"k = {total['k']:.0f} interval" if "k" in total else ""
    if "median" in total:  # not symmetric: which of the summaries it is must be said
        median = number(total["median"], value_place(total["u_posterior"]))
        interval = f"mean of a skewed posterior, median {median}, 95 % interval"
    text = (
        f"{tag}{total['region']}, mean of {total['period']}: {value} ± {u} {total['unit']} (standard uncertainty); "
        f"{interval} {low} … {high}; prior {prior}"
    )
    if "truth" in total:
        text += f"; truth {number(total['truth'], value_place(total['u_posterior']))}"
    fit = summary["fit"][0]
    quality = (
        f"misfit ratio {number(fit['misfit'], -2)} (1 expected), χ² = {summary['chi2']:.2f}, "
        f"DFS = {number(summary['dfs'], -1)} of {summary['n_obs']} observations, "
        f"RMSE {fit['rmse_prior']:.1f} → {fit['rmse_posterior']:.1f} {fit['unit']}"
    )
    return [text, *(_parameter(p) for p in summary["transport_parameters"]), quality]


def _parameter(p: dict[str, Any]) -> str:
    """A transport parameter that was estimated."""
    value, u = with_uncertainty(p["posterior"], p["u_posterior"])
    text = f"{p['name'].replace('_', ' ')}: {value} ± {u} times that of the weather given; prior "
    text += " ± ".join(with_uncertainty(p["prior"], p["u_prior"]))
    return text + (f"; truth {p['truth']:g}" if "truth" in p else "")


def simulation_headline(summary: dict[str, Any]) -> list[str]:
    """Sentences on a forward run: what was emitted, where it is, and how it compares with soundings."""
    tag = "SYNTHETIC release, real weather: " if summary["synthetic"] else ""
    total, column, budget = summary["emission_total"], summary["column_enhancement"], summary["budget"]
    unit, left = budget["unit"], budget["emission_in_the_domain_at_the_end"]
    inside = "" if left is None else f", of which {rounded(left)} {unit} are in the domain at the end"
    lines = [
        f"{tag}{summary['title']}: {rounded(total['value'])} {total['unit']} emitted on the mean of "
        f"{summary['hours']:g} h; column up to {rounded(column['max'])} {column['unit']} above the inflow of "
        f"{rounded_to(summary['inflow']['value'])} {column['unit']}",
        f"budget: emitted {rounded(budget['emitted'])} {unit}{inside}; closure {closure_text(budget['closure'])}",
    ]
    fit = summary["soundings"]
    if fit is not None:
        lines.append(
            f"{fit['n']} soundings ({sum(fit['dropped'].values())} dropped): observed "
            f"{fit['observed_mean']:.1f} ± {fit['observed_sd']:.1f}, modelled {fit['modelled_mean']:.1f} ± "
            f"{fit['modelled_sd']:.1f} ppb (standard deviation over soundings), r = {fit['correlation']:.2f}"
        )
    return lines


def closure_text(closure: float) -> str:
    """How far the budget is from closing, in words where nothing is left."""
    return f"{closure:.0e}" if closure > 0.0 else "exact to rounding"


def rounded_to(value: float) -> str:
    """One decimal."""
    return number(value, -1)
