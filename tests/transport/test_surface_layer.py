import jax
import jax.numpy as jnp
import numpy as np
import pytest

from transport.constants import RADON_HALF_LIFE
from transport.errors import TanhengError
from transport.mixing import (
    ACM2,
    BoundaryLayer,
    Columns,
    Constant,
    KProfile,
    Sinks,
    hydroxyl_loss,
    radioactive_decay,
)
from transport.mixing.acm2 import convective_share, heat_diffusivity
from transport.mixing.k_profile import mixed_layer_diffusivity
from transport.mixing.surface_layer import stable_phi_heat

EDGES = np.array([0.0, 20.0, 60.0, 150.0, 300.0, 600.0, 1100.0, 2000.0, 3000.0])
AREAS = jnp.full((1, 1), 4e6)


def boundary_layer(h=1000.0, shear=0.3, heat=100.0, temperature=280.0, pressure=1e5) -> BoundaryLayer:
    return BoundaryLayer(*(jnp.full((1, 1, 1), value) for value in (h, shear, heat, temperature, pressure)))


def columns(edges=EDGES) -> Columns:
    edges = jnp.asarray(edges)[None, :, None, None]
    # 42 mol m-3 near the ground, scale height 8 km.
    return Columns(edges, 42.0 * 8e3 * -jnp.diff(jnp.exp(-edges / 8e3), axis=1) * AREAS, AREAS)


def heights(*values):
    return jnp.asarray(values)[None, :, None, None]


# --- scales -----------------------------------------------------------------------------------------------------------
def test_scales_by_hand():
    """ρ c_p T = 7/2 p, so L = −u*³ 3.5 p / (κ g H) = −0.027 · 350000 / (0.4 · 9.80665 · 100)."""
    layer = boundary_layer()
    np.testing.assert_allclose(layer.obukhov_length, -24.0908, rtol=5e-5)
    np.testing.assert_allclose(layer.convective_velocity, 1.40978, rtol=1e-4)  # (9.80665 · 1000 · 100 / 350000)^⅓
    np.testing.assert_allclose(layer.density, 1e5 * 28.9647e-3 / (8.314462618 * 280), rtol=1e-12)
    np.testing.assert_allclose(boundary_layer(heat=-25.0).obukhov_length, 96.363, rtol=5e-5)
    assert float(boundary_layer(heat=-25.0).convective_velocity[0, 0, 0]) == 0.0


def test_stable_phi_is_continuous():
    np.testing.assert_allclose(
        stable_phi_heat(jnp.array([-3.0, 0.0, 0.5, 1.0, 1.0 + 1e-12, 4.0])), [1, 1, 3.5, 6, 6, 9]
    )


@pytest.mark.parametrize("scheme", [KProfile(), KProfile(counter_gradient=True), ACM2()])
@pytest.mark.parametrize("calm", [{"heat": 0.0}, {"shear": 0.0}, {"shear": 0.0, "heat": 0.0}, {"h": 0.0}, {"h": 20.0}])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_no_singularity_in_calm_neutral_or_empty_layers(scheme, calm, dtype):
    cast = lambda tree: jax.tree.map(lambda x: x.astype(dtype), tree)  # noqa: E731
    layer, where = cast(boundary_layer(**calm)), cast(columns())

    def total(layer):
        mixing = scheme(layer, where)
        scales = (layer.obukhov_length, layer.convective_velocity)
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves((mixing, scales)))

    value, gradient = jax.value_and_grad(total)(layer)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves((value, gradient)))


# --- K profile --------------------------------------------------------------------------------------------------------
def test_k_profile_by_hand():
    """Neutral κ u* z (1 − z/h)²; stable that over 1 + 5 z/L; unstable worked out beside each figure."""
    neutral = mixed_layer_diffusivity(boundary_layer(heat=0.0), heights(100.0, 500.0, 1000.0, 1500.0))
    np.testing.assert_allclose(neutral.ravel(), [9.72, 15.0, 0.0, 0.0], rtol=1e-4)
    # L = 96.363 m: z/L = 0.51887 → φ = 3.59437; z/L = 2.07548 → φ = 7.07548.
    stable = mixed_layer_diffusivity(boundary_layer(heat=-25.0), heights(50.0, 200.0))
    np.testing.assert_allclose(stable.ravel(), [0.12 * 50 * 0.95**2 / 3.59437, 0.12 * 200 * 0.64 / 7.07548], rtol=1e-4)
    # w_m = (0.027 + 0.6 · 2.80190)^⅓ = 1.19537, Pr = √(0.3/1.19537) + 0.288 · 1.40978/1.19537 = 0.84063.
    outer = mixed_layer_diffusivity(boundary_layer(), heights(100.0, 500.0))
    np.testing.assert_allclose(outer.ravel(), [0.4 * 1.19537 / 0.84063 * x for x in (81.0, 125.0)], rtol=1e-4)


def test_surface_layer_flux_follows_similarity():
    """Local and counter-gradient flux of a surface flux F add up to F where −∂c/∂z = F φ_h / (κ z u*), at z ≪ h."""
    layer, z = boundary_layer(h=2000.0), heights(5.0, 50.0, 199.0)
    k = mixed_layer_diffusivity(layer, z) / (1 - z / 2000.0) ** 2
    length, w_star = -24.0908, float(layer.convective_velocity[0, 0, 0])
    phi_h, phi_m = (1 - 15 * z / length) ** -0.5, (1 - 15 * z / length) ** (-1 / 3)
    gradient = phi_h / (0.4 * z * 0.3)
    gamma = 7.2 * w_star / ((0.3 / phi_m) ** 2 * 2000.0)
    np.testing.assert_allclose(k * (gradient + gamma), 1.0, rtol=2e-4)


def test_diffusivity_is_continuous_in_mixing_height():
    """No jump as 0.1 h passes a face, where the published profile has one of a factor 0.6."""
    k = [float(mixed_layer_diffusivity(boundary_layer(h=h), heights(100.0)).ravel()[0]) for h in (999.999, 1000.001)]
    assert abs(k[1] / k[0] - 1.0) < 1e-5


def test_release_of_the_counter_gradient():
    mixing = KProfile(counter_gradient=True)(boundary_layer(), columns())
    release = mixing.release[0, :, 0, 0]
    np.testing.assert_allclose(jnp.sum(release), 1.0, rtol=1e-14)
    # Carried through the face at 300 m: κ z (1−z/h)² a w* w_t / (w_m² h), w_t = 1.42200, in air of exp(−300/8000).
    w_m, w_t = 1.19537, 1.19537 / 0.84063
    carried = 0.4 * 0.3 * 0.49 * 7.2 * 1.40978 * w_t / w_m**2
    np.testing.assert_allclose(jnp.sum(release[4:]), carried * np.exp(-290 / 8000), rtol=2e-3)
    assert np.all(release[7:] == 0) and KProfile()(boundary_layer(), columns()).release is None
    np.testing.assert_allclose(
        KProfile(counter_gradient=True)(boundary_layer(heat=-20.0), columns()).release[0, :, 0, 0], [1] + 7 * [0]
    )


def test_exchange_by_hand():
    """K ρ A / Δz at the face between layers of 20 and 40 m: ρ linear between the centres at 10 and 40 m, Δz 30 m."""
    where = columns()
    rho = where.air[0, :2, 0, 0] / (4e6 * np.array([20.0, 40.0]))
    np.testing.assert_allclose(rho, [42 * np.exp(-10 / 8e3), 42 * np.exp(-40 / 8e3)], rtol=1e-5)
    expected = 3.0 * (rho[0] * 2 / 3 + rho[1] / 3) * 4e6 / 30.0
    np.testing.assert_allclose(Constant(3.0)(boundary_layer(), where).exchange[0, 0, 0, 0], expected, rtol=1e-13)


# --- ACM2 -------------------------------------------------------------------------------------------------------------
def test_acm2_by_hand():
    """f = 0.4572 at −h/L = 10; K_h = κ u* √(1 − 16 z_s/L) z (1 − z/h)²; the sum lifted is f times K_h at z_1."""
    np.testing.assert_allclose(convective_share(boundary_layer(h=240.908)), 0.45715, rtol=2e-4)
    assert float(convective_share(boundary_layer(heat=-10.0))[0, 0, 0]) == 0.0
    layer, where = boundary_layer(), columns()
    k_h = heat_diffusivity(layer, heights(20.0, 500.0))[0, :, 0, 0]
    by_hand = [0.12 * 20 * 0.98**2 * np.sqrt(1 + 320 / 24.0908), 0.12 * 500 * 0.25 * np.sqrt(1 + 1600 / 24.0908)]
    np.testing.assert_allclose(k_h, by_hand, rtol=1e-4)
    mixing, f = ACM2(background=0.0)(layer, where), float(convective_share(layer)[0, 0, 0])
    first = float(Constant(1.0)(layer, where).exchange[0, 0, 0, 0])
    np.testing.assert_allclose(jnp.sum(mixing.updraft), f * by_hand[0] * first, rtol=1e-4)
    np.testing.assert_allclose(mixing.exchange[0, 0, 0, 0], (1 - f) * by_hand[0] * first, rtol=1e-4)
    # Pleim's M_u = f K_h / (Δz (h − z_1)) times the air of a whole layer; h = 1000 cuts the layer 600…1100 at 0.8.
    rate = mixing.updraft[0, :, 0, 0] / where.air[0, :, 0, 0]
    np.testing.assert_allclose(rate[1:5], rate[1], rtol=1e-12)
    np.testing.assert_allclose(rate[1], f * by_hand[0] / (30.0 * 980.0), rtol=0.07)  # 980 m of thinning air
    np.testing.assert_allclose(rate[5] / rate[1], 0.8, rtol=1e-12)
    assert rate[0] == 0 and np.all(rate[6:] == 0)


def test_no_updraft_where_the_mixed_layer_ends_in_the_first_layer():
    assert np.all(ACM2()(boundary_layer(h=15.0), columns()).updraft == 0)


# --- sinks and refusals -----------------------------------------------------------------------------------------------
def test_loss_rates():
    np.testing.assert_allclose(radioactive_decay(RADON_HALF_LIFE), 2.0982e-6, rtol=1e-4)
    np.testing.assert_allclose(Sinks(radioactive_decay(RADON_HALF_LIFE)).remaining(RADON_HALF_LIFE), 0.5, rtol=1e-12)
    # k(277 K) = 2.45e-12 exp(−6.40794) = 4.039e-15 cm3 s-1: a lifetime of 7.85 a at 1e6 cm-3.
    np.testing.assert_allclose(hydroxyl_loss(277.0, 1e6), 4.039e-9, rtol=1e-3)
    assert Sinks().remaining(60.0) is None and Sinks().deposition(columns()) is None


def test_deposition_by_hand():
    """v_d ρ_0 A = 0.01 m/s · 42 exp(−10/8000) mol m-3 · 4e6 m2."""
    np.testing.assert_allclose(
        Sinks(deposition_velocity=0.01).deposition(columns()), 0.01 * 42 * np.exp(-10 / 8e3) * 4e6, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: KProfile(background=-0.1), "background diffusivity"),
        (lambda: ACM2(background=float("nan")), "background diffusivity"),
        (lambda: Constant(-1.0), "diffusivity"),
        (lambda: Sinks(rate=-1e-6), "loss rate"),
        (lambda: Sinks(deposition_velocity=-0.1), "deposition velocity"),
        (lambda: radioactive_decay(0.0), "half-life"),
        (lambda: Columns(jnp.zeros((1, 3, 2, 2)), jnp.ones((1, 3, 2, 2)), jnp.ones((2, 2))), "do not fit together"),
    ],
)
def test_refusals(make, match):
    with pytest.raises(TanhengError, match=match):
        make()
