import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inversion.covariance import (
    KERNELS,
    Balgovind,
    BlockDiagonal,
    Dense,
    Diagonal,
    Exponential,
    GaspariCohn,
    Gaussian,
    Kronecker,
    KroneckerSum,
    LowRankPlusDiagonal,
    Matern32,
    Matern52,
    NoisyOrnsteinUhlenbeck,
    OrnsteinUhlenbeck,
    Permuted,
    Scaled,
    Selected,
    Spherical,
    Sum,
    ar1,
    correlation,
    exponential,
    independent_sites,
    network,
)
from transport.errors import TanhengError

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(0, 50, (6, 2))
DISTANCE = np.hypot(*(POINTS[:, None] - POINTS).T)
TIMES = np.array([0.0, 1.0, 2.5, 7.0, 7.1])
PATTERNS = RNG.normal(size=(6, 2))


def spd(n):
    a = RNG.normal(size=(n, n))
    return a @ a.T + n * np.eye(n)


SPD2, SPD3, SPD4, SPD6 = spd(2), spd(3), spd(4), spd(6)
SIGMA = RNG.uniform(0.5, 2, 12)
SQUARE = np.hypot(*np.array([(i - k, j - m) for i in (0, 1) for j in (0, 1) for k in (0, 1) for m in (0, 1)]).T)
SQUARE = SQUARE.reshape(4, 4)  # four corners: eigenvalues coincide


def ou(times, scale):
    """The definition, in numpy."""
    return np.exp(-np.abs(np.subtract.outer(times, times)) / scale)


def exp_np(distance, length):
    return np.exp(-distance / length)


SITE = np.array([2, 0, 2, 1, 0, 0, 2])
TIME = np.array([5.0, 1.0, 0.0, 7.0, 4.0, 0.5, 6.0])


def network_case(hours, measurement, d=DISTANCE[:3, :3]):
    """Observations of 3 sites × hours in a shuffled order, and R by its definition."""
    site, time = (a.ravel() for a in np.meshgrid(np.arange(3), hours, indexing="ij"))
    order = np.random.default_rng(1).permutation(site.size)
    site, time = site[order], time[order]
    tau, mu = np.random.default_rng(2).uniform(1, 2, site.size), measurement(site, time)

    def build(t):
        return network(site, time, d, Exponential(20.0 * t), 3.0, tau, mu * tau)

    def dense(t):
        rho = exp_np(d, 20.0 * t)[np.ix_(site, site)] * ou(time, 3.0)
        return tau[:, None] * rho * tau + np.diag((mu * tau) ** 2)

    return build, dense


NETWORK_SITE = network_case(np.array([0.0, 1.0, 4.0, 5.0]), lambda site, time: 0.5 + site)
NETWORK_HOUR = network_case(np.array([0.0, 1.0, 4.0, 5.0]), lambda site, time: 0.5 + time)
NETWORK_FREE = network_case(np.array([0.0, 1.0, 4.0, 5.0]), lambda site, time: 0.5 + site * time)

# name: (covariance as a function of a hyper-parameter t near 1, its matrix by definition in numpy)
CASES = {
    "diagonal": (lambda t: Diagonal(SIGMA[:6] * t), lambda t: np.diag(SIGMA[:6] * t) ** 2),
    "identity": (lambda t: Scaled(t, Diagonal.identity(3)), lambda t: t**2 * np.eye(3)),
    "one": (lambda t: Diagonal(jnp.ones(1) * 3.0 * t), lambda t: np.array([[9.0]]) * t**2),
    "dense": (lambda t: Dense(SPD6 * t), lambda t: SPD6 * t),
    "exponential": (lambda t: exponential(DISTANCE, 20.0 * t), lambda t: exp_np(DISTANCE, 20.0 * t)),
    "nugget": (
        lambda t: correlation(Exponential(20.0), DISTANCE, nugget=0.1 * t),
        lambda t: (1 - 0.1 * t) * exp_np(DISTANCE, 20.0) + 0.1 * t * np.eye(6),
    ),
    "scaled": (
        lambda t: Scaled(SIGMA[:6], exponential(DISTANCE, 20.0 * t)),
        lambda t: np.outer(SIGMA[:6], SIGMA[:6]) * exp_np(DISTANCE, 20.0 * t),
    ),
    "blocks": (
        lambda t: BlockDiagonal((Diagonal(SIGMA[:3] * t), Scaled(np.array([2.0, 3.0]), Dense(SPD2)))),
        lambda t: np.block(
            [
                [np.diag((SIGMA[:3] * t) ** 2), np.zeros((3, 2))],
                [np.zeros((2, 3)), SPD2 * np.outer([2.0, 3.0], [2.0, 3.0])],
            ]
        ),
    ),
    "permuted": (
        lambda t: Permuted(np.array([2, 0, 3, 1]), Dense(SPD4 * t)),
        lambda t: (SPD4 * t)[np.ix_([2, 0, 3, 1], [2, 0, 3, 1])],
    ),
    "ornstein_uhlenbeck": (lambda t: OrnsteinUhlenbeck(TIMES, 2.0 * t), lambda t: ou(TIMES, 2.0 * t)),
    "ar1": (lambda t: ar1(5, 0.6 * t), lambda t: (0.6 * t) ** np.abs(np.subtract.outer(np.arange(5), np.arange(5)))),
    "one time": (lambda t: Scaled(t, OrnsteinUhlenbeck(np.zeros(1), 2.0)), lambda t: np.eye(1) * t**2),
    "noisy": (
        lambda t: NoisyOrnsteinUhlenbeck(TIMES, 2.0 * t, SIGMA[:5], SIGMA[5:10]),
        lambda t: np.outer(SIGMA[:5], SIGMA[:5]) * ou(TIMES, 2.0 * t) + np.diag(SIGMA[5:10] ** 2),
    ),
    "kronecker": (
        lambda t: Kronecker((OrnsteinUhlenbeck(TIMES, 2.0 * t), Dense(SPD3), Diagonal(SIGMA[:2]))),
        lambda t: np.kron(ou(TIMES, 2.0 * t), np.kron(SPD3, np.diag(SIGMA[:2] ** 2))),
    ),
    "kronecker of one": (lambda t: Kronecker((Dense(SPD3 * t),)), lambda t: SPD3 * t),
    "kronecker sum": (
        lambda t: KroneckerSum(
            Kronecker((OrnsteinUhlenbeck(TIMES, 2.0 * t), Dense(SPD3))),
            Kronecker((Diagonal(SIGMA[:5]), Dense(SPD3.T + 1))),
        ),
        lambda t: np.kron(ou(TIMES, 2.0 * t), SPD3) + np.kron(np.diag(SIGMA[:5] ** 2), SPD3 + 1),
    ),
    "coinciding eigenvalues": (
        lambda t: KroneckerSum(
            Kronecker((exponential(SQUARE, t), ar1(3, 0.5))), Kronecker((Diagonal.identity(4), Diagonal.identity(3)))
        ),
        lambda t: np.kron(exp_np(SQUARE, t), 0.5 ** np.abs(np.subtract.outer(range(3), range(3)))) + np.eye(12),
    ),
    "low rank": (
        lambda t: LowRankPlusDiagonal(SIGMA[:6], PATTERNS * t),
        lambda t: np.diag(SIGMA[:6] ** 2) + t**2 * PATTERNS @ PATTERNS.T,
    ),
    "rank above size": (
        lambda t: LowRankPlusDiagonal(SIGMA[:2], PATTERNS.T[:, :5] * t),
        lambda t: np.diag(SIGMA[:2] ** 2) + t**2 * PATTERNS.T[:, :5] @ PATTERNS[:5],
    ),
    "sum": (
        lambda t: Sum((exponential(DISTANCE, 20.0 * t), Diagonal(SIGMA[:6]), Dense(SPD6))),
        lambda t: exp_np(DISTANCE, 20.0 * t) + np.diag(SIGMA[:6] ** 2) + SPD6,
    ),
    "selected": (
        lambda t: Selected(np.array([7, 0, 3]), Kronecker((ar1(3, 0.6 * t), Dense(SPD3)))),
        lambda t: np.kron((0.6 * t) ** np.abs(np.subtract.outer(range(3), range(3))), SPD3)[
            np.ix_([7, 0, 3], [7, 0, 3])
        ],
    ),
    "network by site": NETWORK_SITE,
    "network by hour": NETWORK_HOUR,
    "network": NETWORK_FREE,
    "network with two inlets": network_case(np.array([0.0, 1.0, 4.0]), lambda site, time: 1 + site, np.zeros((3, 3))),
    "independent sites": (
        lambda t: independent_sites(SITE, TIME, 3.0 * t, SIGMA[:7], SIGMA[5:]),
        lambda t: (
            np.outer(SIGMA[:7], SIGMA[:7]) * ou(TIME, 3.0 * t) * (SITE[:, None] == SITE) + np.diag(SIGMA[5:] ** 2)
        ),
    ),
}
# Roots that are no lower triangle and not symmetric, or are: swapped with their transpose they give another matrix.
ONE_SIDED = ["dense", "exponential", "scaled", "ar1", "noisy", "kronecker", "kronecker sum", "sum", "permuted"]


@pytest.mark.parametrize("name", CASES)
def test_actions_against_the_dense_matrix(name):
    build, matrix = CASES[name]
    C, matrix = build(1.0), matrix(1.0)
    n = len(matrix)
    assert C.size == n
    v, many = RNG.normal(size=n), RNG.normal(size=(n, 3))
    for argument in (v, many):
        np.testing.assert_allclose(C.mv(jnp.asarray(argument)), matrix @ argument, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(
            C.solve(jnp.asarray(argument)), np.linalg.solve(matrix, argument), rtol=1e-9, atol=1e-11
        )
    np.testing.assert_allclose(C.logdet(), np.linalg.slogdet(matrix)[1], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(C.diagonal(), np.diagonal(matrix), rtol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_the_square_root_and_its_transpose(name):
    """C^½ C^½ᵀ = C with each factor by its own name; swapped, the product is another matrix."""
    build, matrix = CASES[name]
    C, matrix = build(1.0), matrix(1.0)
    eye = jnp.eye(C.size)
    root, transposed = np.asarray(C.sqrt_mv(eye)), np.asarray(C.sqrt_transposed_mv(eye))
    np.testing.assert_allclose(transposed, root.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(root @ root.T, matrix, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(C.sqrt_mv(C.sqrt_transposed_mv(eye[0])), matrix[0], rtol=1e-11, atol=1e-12)
    if name in ONE_SIDED:
        assert np.abs(transposed @ root - matrix).max() > 1e-2


@pytest.mark.parametrize("name", CASES)
def test_gradients_in_a_hyper_parameter(name):
    """d/dt of log det C and of v·C⁻¹v through the constructor, against central differences of the dense matrix."""
    build, matrix = CASES[name]
    v = np.random.default_rng(3).normal(size=len(matrix(1.0)))

    def evidence(t):
        C = build(t)
        return jnp.stack([C.logdet(), jnp.asarray(v) @ C.solve(jnp.asarray(v))])

    def reference(t):
        return np.array([np.linalg.slogdet(matrix(t))[1], v @ np.linalg.solve(matrix(t), v)])

    h = 1e-5
    expected = (reference(1 + h) - reference(1 - h)) / (2 * h)
    np.testing.assert_allclose(jax.jit(jax.jacrev(evidence))(1.0), expected, rtol=2e-6, atol=2e-8)


@pytest.mark.parametrize(
    "name", ["scaled", "ar1", "noisy", "kronecker", "kronecker sum", "low rank", "network by site"]
)
def test_draws_have_the_covariance(name):
    """Every entry of the sample covariance within 5 standard errors, √((C_ij² + C_ii C_jj) / N)."""
    build, matrix = CASES[name]
    C, matrix, count = build(1.0), matrix(1.0), 100_000
    draws = np.asarray(C.sqrt_mv(jax.random.normal(jax.random.key(0), (C.size, count))))
    variance = np.diagonal(matrix)
    error = np.sqrt((matrix**2 + np.outer(variance, variance)) / count)
    assert np.abs(draws @ draws.T / count - matrix).max() < 5 * error.max()
    assert (np.abs(draws @ draws.T / count - matrix) < 5 * error).all()


@pytest.mark.parametrize(
    "patterns", [PATTERNS, np.eye(6)[:, :3], np.zeros((6, 2))], ids=["any", "coinciding eigenvalues", "none"]
)
def test_the_root_of_a_low_rank_covariance_is_differentiable(patterns):
    noise = jnp.asarray(np.random.default_rng(4).normal(size=6))

    def draw(t):
        return LowRankPlusDiagonal(np.ones(6), patterns * t).sqrt_mv(noise)

    h = 1e-6
    np.testing.assert_allclose(jax.jacfwd(draw)(1.0), (draw(1 + h) - draw(1 - h)) / (2 * h), rtol=1e-7, atol=1e-9)
    assert np.isfinite(jax.jacrev(draw)(1.0)).all()


# --- kernels ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kernel", "distance", "expected"),
    [
        (Exponential(6.0), 3.0, np.exp(-0.5)),
        (Matern32(2.0), 2.0, (1 + np.sqrt(3)) * np.exp(-np.sqrt(3))),
        (Matern52(2.0), 2.0, (1 + np.sqrt(5) + 5 / 3) * np.exp(-np.sqrt(5))),
        (Gaussian(2.0), 4.0, np.exp(-2.0)),
        (Balgovind(2.0), 4.0, 3 * np.exp(-2.0)),
        (Spherical(2.0), 1.0, 1 - 0.75 + 0.0625),
        (Spherical(2.0), 2.0, 0.0),
        (Spherical(2.0), 5.0, 0.0),
        # Gaspari and Cohn's eq. 4.10 in fractions at r = 1/2, 1, 3/2, 2 and beyond.
        (GaspariCohn(2.0), 1.0, 263 / 384),
        (GaspariCohn(2.0), 2.0, 5 / 24),
        (GaspariCohn(2.0), 3.0, 19 / 1152),
        (GaspariCohn(2.0), 4.0, 0.0),
        (GaspariCohn(2.0), 9.0, 0.0),
    ],
)
def test_kernels_by_hand(kernel, distance, expected):
    assert float(kernel(distance)) == pytest.approx(expected, rel=1e-13, abs=1e-15)
    assert float(kernel(0.0)) == 1.0


def test_gaspari_cohn_is_smooth_where_its_branches_meet():
    slope = jax.grad(lambda d: GaspariCohn(1.0)(d))
    for join in (1.0, 2.0):
        assert float(slope(join - 1e-9)) == pytest.approx(float(slope(join + 1e-9)), abs=1e-7)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_differentiable_in_their_length(name):
    d = jnp.array([0.0, 0.3, 0.9, 1.4, 2.5])

    def of(length):
        return KERNELS[name](length)(d)

    slope, h = jax.jacfwd(of)(1.1), 1e-6
    np.testing.assert_allclose(slope, (of(1.1 + h) - of(1.1 - h)) / (2 * h), atol=1e-8)
    assert np.isfinite(jax.jacrev(of)(1.1)).all()


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_positive_definite_in_space(name):
    points = np.random.default_rng(0).normal(size=(150, 3))
    distance = np.sqrt(((points[:, None] - points) ** 2).sum(-1))
    assert np.linalg.eigvalsh(KERNELS[name](0.7)(distance))[0] > -1e-12


# --- what is refused --------------------------------------------------------------------------------------------------
def test_a_singular_correlation_is_refused_and_a_nugget_helps():
    d = np.abs(np.subtract.outer(np.arange(40.0), np.arange(40.0)))
    with pytest.raises(TanhengError, match="Gaussian correlation of length 10 is singular") as error:
        correlation(Gaussian(10.0), d)
    assert "nugget" in str(error.value.remedy)
    C = correlation(Gaussian(10.0), d, nugget=1e-6)
    np.testing.assert_allclose(C.diagonal(), 1.0)
    assert np.isfinite(C.solve(jnp.ones(40))).all()


@pytest.mark.parametrize("sigma", [[1.0, 0.0], [1.0, -2.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_variances_must_be_positive(sigma):
    with pytest.raises(TanhengError, match="must be positive"):
        Diagonal(np.array(sigma))
    with pytest.raises(TanhengError, match="must be positive"):
        Scaled(np.array(sigma), Diagonal.identity(2))
    with pytest.raises(TanhengError, match="must be positive"):
        LowRankPlusDiagonal(np.array(sigma), np.ones((2, 1)))


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (lambda: Dense(np.array([[1.0, 0.5], [0.4, 1.0]])), "not symmetric"),
        (lambda: Dense(np.array([[1.0, np.nan], [np.nan, 1.0]])), "not symmetric"),
        (lambda: exponential(DISTANCE, 0.0), "must be positive"),
        (lambda: exponential(np.zeros((2, 2)), 1.0), "singular on these points"),
        (lambda: correlation(Exponential(1.0), DISTANCE, nugget=-0.1), "share of variance"),
        (lambda: Scaled(np.ones(2), Diagonal(np.ones(3))), "does not fit"),
        (lambda: Permuted(np.array([0, 0, 1]), Diagonal(np.ones(3))), "not a permutation"),
        (lambda: Selected(np.array([0, 3]), Diagonal(np.ones(3))), "do not fit"),
        (lambda: Selected(np.array([1, 1]), Diagonal(np.ones(3))), "do not fit"),
        (lambda: Sum((Diagonal(np.ones(2)), Diagonal(np.ones(3)))), "differ in size"),
        (lambda: LowRankPlusDiagonal(np.ones(3), np.ones((2, 1))), "do not fit"),
        (lambda: OrnsteinUhlenbeck(np.array([0.0, 2.0, 2.0]), 1.0), "must increase"),
        (lambda: OrnsteinUhlenbeck(np.array([0.0, np.nan]), 1.0), "must increase"),
        (lambda: OrnsteinUhlenbeck(TIMES, -1.0), "must be positive"),
        (lambda: ar1(3, 1.0), "out of range"),
        (lambda: independent_sites([0, 0], [1.0, 1.0], 1.0, np.ones(2), np.ones(2)), "must increase"),
        (
            lambda: network([0, 1], [0.0, 0.0], -DISTANCE[:2, :2], Exponential(9.0), 1.0, np.ones(2), np.ones(2)),
            "is no correlation",
        ),
        (
            lambda: KroneckerSum(Kronecker((Diagonal(np.ones(2)),)), Kronecker((Diagonal(np.ones(3)),))),
            "do not fit",
        ),
        (
            lambda: network([0, 3], [0.0, 1.0], DISTANCE[:3, :3], Exponential(1.0), 1.0, np.ones(2), np.ones(2)),
            "do not fit",
        ),
    ],
)
def test_what_is_no_covariance_is_refused(build, what):
    with pytest.raises(TanhengError, match=what):
        build()


# --- beyond the limit of dense matrices -------------------------------------------------------------------------------
def test_beyond_the_limit_sums_are_solved_iteratively_and_their_root_is_refused():
    inner = Kronecker((ar1(6, 0.8), exponential(DISTANCE, 20.0)))
    rows = np.array([0, 5, 7, 20, 33, 12])
    C = Sum((Selected(rows, inner, limit=0), Diagonal(SIGMA[:6])), limit=0)
    matrix = np.asarray(inner.mv(jnp.eye(36)))[np.ix_(rows, rows)] + np.diag(SIGMA[:6] ** 2)
    v = RNG.normal(size=(6, 2))
    for argument in (v, v[:, 0], 1e-20 * v[:, 0], 0.0 * v[:, 0]):
        np.testing.assert_allclose(C.solve(jnp.asarray(argument)), np.linalg.solve(matrix, argument), rtol=1e-8)
    np.testing.assert_allclose(C.mv(jnp.asarray(v)), matrix @ v, rtol=1e-12)
    for action in (C.logdet, lambda: C.sqrt_mv(jnp.ones(6)), lambda: C.sqrt_transposed_mv(jnp.ones(6))):
        with pytest.raises(TanhengError, match="needs its matrix"):
            action()


def test_a_network_beyond_the_limit_is_the_same_matrix():
    rng = np.random.default_rng(5)
    rows = rng.choice(60, 40, replace=False)  # a third of the hours is missing
    site, time = rows // 20, rows % 20
    tau, mu = rng.uniform(1, 2, 40), rng.uniform(0.2, 1, 40)
    arguments = (site, time, DISTANCE[:3, :3], Exponential(20.0), 3.0, tau, mu)
    dense, free = network(*arguments), network(*arguments, limit=10)
    assert isinstance(dense, Dense) and isinstance(free, Sum)
    v = jnp.asarray(rng.normal(size=40))
    np.testing.assert_allclose(free.mv(v), dense.mv(v), rtol=1e-12)
    np.testing.assert_allclose(free.solve(v), dense.solve(v), rtol=1e-7)
    np.testing.assert_allclose(free.diagonal(), dense.diagonal(), rtol=1e-12)


def test_structure_is_kept_where_there_is_one():
    assert isinstance(NETWORK_SITE[0](1.0), Scaled) and isinstance(NETWORK_HOUR[0](1.0), Scaled)
    assert isinstance(NETWORK_FREE[0](1.0), Dense)


def test_covariances_pass_through_jit_and_vmap():
    C = CASES["kronecker sum"][0](1.0)
    v = RNG.normal(size=(15, 4))
    np.testing.assert_allclose(eqx.filter_jit(lambda c, x: c.solve(x))(C, v), C.solve(jnp.asarray(v)), rtol=1e-12)
    lengths = jnp.array([5.0, 10.0])
    dets = jax.vmap(lambda length: exponential(DISTANCE, length).logdet())(lengths)
    np.testing.assert_allclose(dets, [float(exponential(DISTANCE, length).logdet()) for length in (5.0, 10.0)])


def test_many_short_steps_keep_their_digits():
    """10⁵ steps of a thousandth of τ, where 1 − φ² computed by subtraction would lose three digits."""
    C = OrnsteinUhlenbeck(np.arange(100_000) * 1e-3, 1.0)
    v = jnp.asarray(np.random.default_rng(0).normal(size=100_000))
    back = C.solve(C.mv(v))
    np.testing.assert_allclose(back, v, atol=1e-8)
    np.testing.assert_allclose(C.logdet(), 99_999 * np.log(-np.expm1(-2e-3)), rtol=1e-13)
