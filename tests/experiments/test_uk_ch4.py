"""The United Kingdom case against the authors' file and an independent dense solution."""

import numpy as np
import pytest
import xarray as xr

from experiments.cases import uk_ch4
from experiments.outcome import evaluate
from experiments.summary import fit_by_group
from inversion.solvers.analytic import Analytic
from transport.errors import TanhengError


def independent(dataset, length_km: float, sigma_cell: float, sigma_boundary: float, model_error: float):
    """UK total: prior, u, posterior, u in Tg yr-1, and RMSE, by plain observation-space algebra."""
    data = xr.open_dataset(dataset.fetch(uk_ch4.SENSITIVITIES), engine="h5netcdf").load()
    mask = xr.open_dataset(dataset.fetch(uk_ch4.COUNTRIES), engine="h5netcdf").load()
    lat, lon = data.lat.values.astype(float), data.lon.values.astype(float)
    dlat, dlon = (lat[-1] - lat[0]) / 67, (lon[-1] - lon[0]) / 77
    band = np.sin(np.deg2rad(lat + dlat / 2)) - np.sin(np.deg2rad(lat - dlat / 2))
    area = np.repeat((6.371e6**2 * np.deg2rad(dlon) * band)[:, None], 78, axis=1)
    country = mask.country.values[
        np.abs(mask.lat.values[:, None] - lat).argmin(0)[:, None], np.abs(mask.lon.values[:, None] - lon).argmin(0)
    ]
    inside = country == list(mask.name.values.astype(str)).index(uk_ch4.COUNTRY)
    a = (data.q_ap.values * area * inside).ravel() * 16.0425e-3 * 365 * 86400 * 1e-9
    phi, lam = (np.deg2rad(g.ravel()) for g in np.meshgrid(lat, lon, indexing="ij"))
    half = (
        np.sin((phi[:, None] - phi) / 2) ** 2
        + np.cos(phi)[:, None] * np.cos(phi) * np.sin((lam[:, None] - lam) / 2) ** 2
    )
    B = sigma_cell**2 * np.exp(-2 * 6371.0 * np.arcsin(np.sqrt(half)) / length_km)
    h = data.h_v_all.values
    Hb, Hc = h[:, :4], h[:, 10:]
    BHt = B @ Hc.T
    S = Hc @ BHt + sigma_boundary**2 * Hb @ Hb.T + np.diag(data.sigma_measure.values**2 + model_error**2)
    z = np.linalg.solve(S, data.y.values - h.sum(axis=1))
    gain = Hc @ B @ a
    u2 = a @ B @ a
    change = BHt @ z
    residual = data.y.values - h.sum(axis=1) - Hc @ change - Hb @ (sigma_boundary**2 * Hb.T @ z)
    return (
        a.sum(),
        np.sqrt(u2),
        a.sum() + a @ change,
        np.sqrt(u2 - gain @ np.linalg.solve(S, gain)),
        np.sqrt(np.mean(residual**2)),
    )


def test_the_total_and_the_fit(united_kingdom, compose):
    config = compose("experiment=uk_ch4")
    setup = uk_ch4.assemble(config)
    outcome = evaluate(setup, Analytic().solve(setup.problem), "analytic")
    kingdom, fit = outcome.totals[0], fit_by_group(outcome)[0]
    covariance, control, observed = config.covariance, config.control, config.observations
    prior, u_prior, posterior, u, _ = independent(
        united_kingdom, covariance.length_km, control.sigma_cell, control.sigma_boundary, observed.model_error_ppb  # type: ignore
    )  # fmt: skip
    assert kingdom.prior == pytest.approx(prior, rel=1e-7)
    assert kingdom.u_prior == pytest.approx(u_prior, rel=1e-7)
    assert kingdom.posterior == pytest.approx(posterior, rel=1e-7)
    assert kingdom.u_posterior == pytest.approx(u, rel=1e-7)
    # The authors' short run: prior 2.79, posterior 2.58 ± 0.40 Tg yr-1, RMSE 174 → 14 ppb.
    assert kingdom.prior == pytest.approx(2.79, abs=0.005)
    assert abs(kingdom.posterior - 2.58) < 0.40
    assert round(fit["rmse_prior"]) == 174 and 12 < fit["rmse_posterior"] < 16


def test_the_prior_model_is_the_authors_own(united_kingdom, compose):
    """x = 1 gives back the sum of the file's columns, which is its y_prior."""
    setup = uk_ch4.assemble(compose("experiment=uk_ch4"))
    data = xr.open_dataset(united_kingdom.fetch(uk_ch4.SENSITIVITIES), engine="h5netcdf")
    np.testing.assert_allclose(setup.problem.H.mv(setup.problem.x_b), data.h_v_all.sum("NgridIC"), rtol=1e-12)


def test_one_site_constrains_less(united_kingdom, compose):
    def u(*overrides):
        setup = uk_ch4.assemble(compose("experiment=uk_ch4", *overrides))
        return evaluate(setup, Analytic().solve(setup.problem), "analytic").totals[0].u_posterior

    assert u("observations.sites=[MHD]") > u()


def test_unknown_sites_are_refused(united_kingdom, compose):
    with pytest.raises(TanhengError, match="sites cannot be used"):
        uk_ch4.assemble(compose("experiment=uk_ch4", "observations.sites=[XXX]"))


def _spoil(monkeypatch, change):
    """Let the case read its files with one of them changed."""
    data, countries = uk_ch4._load()
    monkeypatch.setattr(uk_ch4, "_load", lambda: change(data.copy(deep=True), countries.copy(deep=True)))


def _with_nan(data, countries):
    data.y[3] = np.nan
    return data, countries


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_with_nan, "observed value is not finite"),
        (lambda d, c: (d.assign(y=d.y * 1e-9), c), "not CH4 in ppb"),
        (lambda d, c: (d.assign(sigma_measure=d.sigma_measure * np.nan), c), "uncertainty is not positive"),
        (lambda d, c: (d, c.assign_coords(lat=c.lat + 0.1)), "country mask is on another grid"),
        (lambda d, c: (d.assign(h_v_all=d.h_v_all + 1.0), c), "outer region has sensitivity"),
        (lambda d, c: (d.drop_vars("h_v_all"), c), "lacks a variable"),
    ],
)
def test_a_spoiled_file_is_explained(united_kingdom, compose, monkeypatch, change, what):
    _spoil(monkeypatch, change)
    with pytest.raises(TanhengError, match=what) as error:
        uk_ch4.assemble(compose("experiment=uk_ch4"))
    assert error.value.remedy


def test_the_map_adds_up_to_the_total(united_kingdom, compose):
    from transport.grid import Grid
    from transport.units import teragrams_per_year

    setup = uk_ch4.assemble(compose("experiment=uk_ch4"))
    grid = Grid(setup.map.x_edges, setup.map.y_edges)
    per_cell = setup.totals.weights[0][4:]  # after the four boundary sides
    flux = (setup.map.weights @ np.ones(setup.map.weights.shape[1]))[setup.map.layout]
    rates = flux * 1e-9 * grid.areas * teragrams_per_year("CH4")
    np.testing.assert_allclose(rates.ravel()[per_cell != 0], per_cell[per_cell != 0], rtol=1e-6)
    assert not setup.map.weights[:, :4].any()


def test_rules_of_the_mismatch_come_from_the_configuration(united_kingdom, compose):
    """5 ppb shared by both sites on a day are in R between them, and named in the components."""
    rule = "{action: add, cause: representativeness, value: 5, unit: ppb, shared: day}"
    setup = uk_ch4.assemble(compose("experiment=uk_ch4", f"observations.mismatch=[{rule}]"))
    o, R = setup.observations, np.asarray(setup.problem.R.mv(np.eye(len(setup.observations))))
    same_day = (o.start[:, None] == o.start) & (o.groups[:, None] != o.groups)
    assert same_day.any() and np.allclose(R[same_day], 25.0)
    assert [c.cause for c in o.components] == ["repeatability", "transport", "representativeness"]
    with pytest.raises(TanhengError, match="unknown word for cause"):
        uk_ch4.assemble(compose("experiment=uk_ch4", f"observations.mismatch=[{rule.replace('represent', 'misrep')}]"))
    hours = rule.replace("shared", "hours: [3], shared")
    with pytest.raises(TanhengError, match="two local hours"):
        uk_ch4.assemble(compose("experiment=uk_ch4", f"observations.mismatch=[{hours}]"))
