import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inversion.basis import Basis, cells
from inversion.blocks import additive, air_mass, bias, boundary, initial, offsets, points, remainder, scaling
from inversion.control import Block, ControlMap, observation_columns
from inversion.covariance import Diagonal, Kronecker, OrnsteinUhlenbeck
from inversion.steps import Steps, bands, constant, diurnal, steps
from transport.errors import TanhengError
from transport.linear import adjoint_gap
from transport.sources import Boundary, Sources

NT, NY, NX = 4, 2, 3
NZ = 5
STRUCTURE = jax.eval_shape(
    lambda: Sources(
        jnp.zeros((NT, NY, NX)),
        jnp.zeros((NT, 2)),
        Boundary.uniform(jnp.zeros(NT), (NT, NZ, NY, NX)),
        jnp.zeros((NZ, NY, NX)),
    )
)
RNG = np.random.default_rng(0)


def block(name, target, base, index, size):
    return Block(name, target, base, index, np.zeros(size), Diagonal(np.ones(size)))


BLOCKS = [
    block("cells", "surface", RNG.normal(size=(NT, NY, NX)), np.arange(NY * NX).reshape(1, NY, NX), NY * NX),
    block("stacks", "points", RNG.normal(size=(NT, 2)), np.arange(2), 2),
    block("days", "surface", RNG.normal(size=(NT, NY, NX)), (np.arange(NT) // 2)[:, None, None], 2),
    block("background", "inflow", np.ones(NT), np.arange(NT) // 2, 2),
    block("west", "west", RNG.normal(size=(NT, NZ, NY)), np.arange(NZ)[:, None], NZ),
    block("start", "initial", np.ones((NZ, NY, NX)), np.zeros(1, int), 1),
    block("bias", "observation", np.array([0.0, 1.0, 1.0]), np.array([0, 0, 1]), 2),
]


def test_blocks_by_hand():
    S = ControlMap(BLOCKS, STRUCTURE)
    x = np.arange(1.0, 21.0)
    sources = S.mv(jnp.asarray(x))
    expected = BLOCKS[0].base[3, 1, 2] * x[5] + BLOCKS[2].base[3, 1, 2] * x[9]
    assert float(sources.surface[3, 1, 2]) == pytest.approx(expected)
    assert float(sources.points[1, 1]) == pytest.approx(BLOCKS[1].base[1, 1] * x[7])
    boundary = sources.boundary
    for side in (boundary.east, boundary.south, boundary.north, boundary.top):
        np.testing.assert_allclose(
            side.reshape(NT, -1), np.array([[11], [11], [12], [12]]) * np.ones((4, side[0].size))
        )
    # The west side has a curtain of its own on top, the start its own offset.
    assert float(boundary.west[3, 2, 1]) == pytest.approx(12 + BLOCKS[4].base[3, 2, 1] * x[14])
    np.testing.assert_allclose(sources.initial, 11 + x[17])


def test_transpose():
    assert adjoint_gap(ControlMap(BLOCKS, STRUCTURE)) < 1e-14


def test_observation_columns():
    matrix = observation_columns(BLOCKS, 3)
    assert matrix.shape == (3, 20)
    np.testing.assert_array_equal(matrix[:, 18:], [[0, 0], [1, 0], [0, 1]])
    assert not matrix[:, :18].any()


def test_an_unknown_target_is_refused():
    with pytest.raises(TanhengError, match="unknown target"):
        block("x", "sea", np.ones(1), np.zeros(1, int), 1)


@pytest.mark.parametrize(
    ("base", "index", "size", "what"),
    [
        (np.ones((NT, NY, NX)), np.full((1, NY, NX), 2), 2, "points outside itself"),
        (np.ones((NT, NY, NX)), np.full((1, NY, NX), -1), 2, "points outside itself"),
        (np.ones(NX), np.zeros((NT, 1, 1), int), 1, "do not fit"),
    ],
)
def test_a_block_that_does_not_fit_is_refused(base, index, size, what):
    with pytest.raises(TanhengError, match=what):
        block("x", "surface", base, index, size)


def test_mean_and_covariance_have_one_size():
    with pytest.raises(TanhengError, match="do not fit"):
        Block("x", "inflow", np.ones(NT), np.zeros(NT, int), np.zeros(1), Diagonal(np.ones(3)))


# --- labels, overlapping elements, and the usual blocks ---------------------------------------------------------------
HOURS = np.datetime64("2020-01-31T12") + np.arange(NT) * np.timedelta64(6, "h")  # two intervals each side of midnight
DAYS = steps(HOURS, "day")
MONTHS = steps(HOURS, "month")
BANDS = bands(np.array([50.0, 150.0, 500.0, 1500.0, 3000.0]), [0.0, 200.0, 1000.0])
HALVES = Basis((NY, NX), np.array(["left", "right"]), index=np.array([[0, 0, 1], [0, -1, 1]]))
OVERLAP = Basis((NY, NX), np.array(["A", "B"]), weights=RNG.uniform(size=(6, 2)))
FLUX = RNG.normal(size=(NT, NY, NX))
SECTORS = RNG.normal(size=(2, NT, NY, NX))


def unit(n):
    return Diagonal(np.ones(n))


USUAL = [
    scaling("flux", FLUX, HALVES, DAYS, unit(4)),
    scaling("sectors", SECTORS, OVERLAP, DAYS, unit(8), sectors=("road", "heat")),
    additive("net", HALVES, DAYS, unit(4), mean=0.5),
    additive("net overlapping", OVERLAP, DAYS, unit(4)),
    points("stacks", RNG.normal(size=(NT, 2)), ["P", "Q"], MONTHS, unit(4)),
    boundary("curtain west", "west", STRUCTURE, BANDS, DAYS, unit(4)),
    boundary("curtain top", "top", STRUCTURE, BANDS, DAYS, unit(2)),
    boundary("scaled north", "north", STRUCTURE, BANDS, DAYS, unit(4), pattern=RNG.normal(size=(NT, NZ, NX))),
    initial("start", STRUCTURE, BANDS, unit(2)),
    initial("start by place", STRUCTURE, BANDS, unit(4), basis=OVERLAP, pattern=RNG.normal(size=(NZ, NY, NX))),
]
STARTS = dict(zip([b.name for b in USUAL], np.cumsum([0, *(b.size for b in USUAL)]), strict=False))


def sources_of(name, *values):
    """Sources of one block alone, with given elements."""
    (chosen,) = [b for b in USUAL if b.name == name]
    x = np.zeros(sum(b.size for b in USUAL))
    x[STARTS[name] : STARTS[name] + chosen.size] = values
    return ControlMap(USUAL, STRUCTURE).mv(jnp.asarray(x))


@pytest.mark.parametrize("name", STARTS)
def test_transpose_of_each_usual_block(name):
    (chosen,) = [b for b in USUAL if b.name == name]
    assert adjoint_gap(ControlMap([chosen], STRUCTURE)) < 1e-14


def test_transpose_of_all_together():
    assert adjoint_gap(ControlMap([*BLOCKS, *USUAL], STRUCTURE)) < 1e-14


def test_a_scaled_flux_by_hand():
    """x = (day 1 left, day 1 right, day 2 left, day 2 right); the cell outside emits nothing here."""
    surface = sources_of("flux", 2.0, 3.0, 5.0, 7.0).surface
    factors = np.array([[[2, 2, 3], [2, 0, 3]]] * 2 + [[[5, 5, 7], [5, 0, 7]]] * 2)
    np.testing.assert_allclose(surface, FLUX * factors, rtol=1e-15)
    ones = sources_of("flux", *np.ones(4)).surface
    np.testing.assert_allclose(ones + remainder(FLUX, HALVES), FLUX, rtol=1e-15)


def test_sectors_and_overlapping_elements_by_hand():
    """Σ_s flux_s(t, cell) Σ_k W[cell, k] x[s, day, k]."""
    x = np.arange(1.0, 9.0).reshape(2, 2, 2)
    surface = np.asarray(sources_of("sectors", *x.ravel()).surface)
    weights = np.asarray(OVERLAP.weights)
    for t, day in enumerate((0, 0, 1, 1)):
        for cell, (row, column) in enumerate(np.ndindex(NY, NX)):
            expected = sum(SECTORS[s, t, row, column] * weights[cell] @ x[s, day] for s in range(2))
            assert surface[t, row, column] == pytest.approx(expected, rel=1e-14)
    remaining = remainder(SECTORS, OVERLAP).sum(axis=0)
    np.testing.assert_allclose(sources_of("sectors", *np.ones(8)).surface + remaining, SECTORS.sum(axis=0), atol=1e-14)


def test_additive_fluxes_and_points_by_hand():
    surface = sources_of("net", 2.0, 3.0, 5.0, 7.0).surface
    np.testing.assert_array_equal(surface[1], [[2, 2, 3], [2, 0, 3]])
    np.testing.assert_array_equal(surface[2], [[5, 5, 7], [5, 0, 7]])
    assert USUAL[2].unit == "umol m-2 s-1" and (USUAL[2].mean == 0.5).all()
    released = sources_of("stacks", 2.0, 3.0, 5.0, 7.0).points
    np.testing.assert_allclose(released, USUAL[4].base * np.array([[2, 3]] * 2 + [[5, 7]] * 2), rtol=1e-15)


def test_boundaries_and_initial_air_by_hand():
    """Layers 1 and 2 below 200 m are the lower band; elements in the order (day, band)."""
    sources = sources_of("curtain west", 2.0, 3.0, 5.0, 7.0)
    np.testing.assert_array_equal(sources.boundary.west[0, :, 0], [2, 2, 3, 3, 3])
    np.testing.assert_array_equal(sources.boundary.west[3, :, 1], [5, 5, 7, 7, 7])
    assert not np.asarray(sources.boundary.east).any() and not np.asarray(sources.initial).any()
    np.testing.assert_array_equal(sources_of("curtain top", 2.0, 5.0).boundary.top[:, 0, 0], [2, 2, 5, 5])
    scaled = sources_of("scaled north", 2.0, 3.0, 5.0, 7.0).boundary.north
    np.testing.assert_allclose(scaled[2, 4], 7 * USUAL[7].base[2, 4], rtol=1e-15)
    np.testing.assert_array_equal(USUAL[7].mean, np.ones(4))
    np.testing.assert_array_equal(sources_of("start", 2.0, 3.0).initial[:, 1, 1], [2, 2, 3, 3, 3])
    placed = sources_of("start by place", 2.0, 3.0, 5.0, 7.0).initial
    expected = USUAL[9].base[3, 1, 2] * np.asarray(OVERLAP.weights)[5] @ np.array([5.0, 7.0])
    assert float(placed[3, 1, 2]) == pytest.approx(expected, rel=1e-14)


def test_labels_name_every_element():
    labels = USUAL[1].labels
    assert labels.dtype.names == ("block", "sector", "time", "element")
    assert [tuple(map(str, row)) for row in labels[[0, 1, 2, 4]]] == [
        ("sectors", "road", "2020-01-31", "A"), ("sectors", "road", "2020-01-31", "B"),
        ("sectors", "road", "2020-02-01", "A"), ("sectors", "heat", "2020-01-31", "A"),
    ]  # fmt: skip
    # Fields of a structured coordinate become coordinates of their own.
    by_cell = scaling("f", FLUX, cells((NY, NX)), constant(HOURS), unit(6))
    assert by_cell.labels.dtype.names == ("block", "time", "row", "column")
    assert by_cell.names[5] == "f[time=2020-01-31T12:00:00, row=1, column=2]"
    assert BLOCKS[1].names == ["stacks[element=0]", "stacks[element=1]"]
    assert all(len(b.labels) == b.size for b in [*BLOCKS, *USUAL])


def test_a_kronecker_prior_follows_the_order_of_the_axes():
    """Elements of one region on two days are correlated, those of two regions are not."""
    prior = Kronecker((OrnsteinUhlenbeck(DAYS.hours, 24.0), Diagonal(np.array([2.0, 3.0]))))
    block = scaling("flux", FLUX, HALVES, DAYS, prior)
    matrix = np.asarray(prior.mv(jnp.eye(4)))
    element = block.labels["element"]
    assert (matrix[element[:, None] != element] == 0).all()
    assert matrix[0, 2] == pytest.approx(4 * np.exp(-0.5))  # means 15 and 3 h of the next day: 12 h apart


# --- columns on observations ------------------------------------------------------------------------------------------
ZERO = np.zeros(NT, int)
GROUPS = np.array(["S5P", "tower", "OCO2", "S5P"])


def test_offsets_by_hand():
    block = offsets("offset", GROUPS, ["OCO2", "S5P"], unit(2))
    np.testing.assert_array_equal(observation_columns([block], 4), [[0, 1], [0, 0], [1, 0], [0, 1]])
    daily = offsets("offset", GROUPS, ["S5P"], unit(2), steps=DAYS)
    np.testing.assert_array_equal(observation_columns([daily], 4), [[1, 0], [0, 0], [0, 0], [0, 1]])
    assert list(daily.labels["time"].astype(str)) == ["2020-01-31", "2020-02-01"]


def test_satellite_bias_by_hand():
    albedo = np.array([0.1, np.nan, 0.3, 0.4])  # towers have none
    predictors = {"constant": 1.0, "air mass": air_mass(np.array([60.0, 0, 0, 60.0]), np.zeros(4)), "albedo": albedo}
    block = bias("bias", predictors, GROUPS, ["S5P", "OCO2"], unit(6))
    expected = [[1, 3, 0.1, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 2, 0.3], [1, 3, 0.4, 0, 0, 0]]
    np.testing.assert_allclose(observation_columns([USUAL[0], block], 4)[:, 4:], expected, rtol=1e-14)
    assert block.names[4] == "bias[group=OCO2, predictor=air mass]"


# --- time steps and height bands --------------------------------------------------------------------------------------
def test_calendar_steps_by_hand():
    times = np.array(["2020-01-05T23", "2020-01-06T00", "2020-02-29T12", "2021-01-01T00"], dtype="datetime64[h]")
    assert steps(times, "month").index.tolist() == [0, 0, 1, 2]
    assert steps(times, "year").index.tolist() == [0, 0, 0, 1]
    weeks = steps(times, "week")  # 2020-01-05 was a Sunday
    assert weeks.index.tolist() == [0, 1, 2, 3] and str(weeks.labels[1]) == "2020-01-06"
    assert steps(times[:2], "day", utc_offset_h=-1.0).index.tolist() == [0, 0]
    assert steps(times[:2], "day", utc_offset_h=1.0).index.tolist() == [0, 0]
    assert steps(times[:2], "day").index.tolist() == [0, 1]
    three = steps(np.datetime64("2020-01-01T04") + np.arange(6) * np.timedelta64(1, "h"), 3)
    assert three.index.tolist() == [0, 0, 1, 1, 1, 2] and three.hours.tolist() == [0.5, 3.0, 5.0]
    np.testing.assert_array_equal(steps(times, "hour").index, np.arange(4))


def test_diurnal_steps_by_hand():
    times = np.datetime64("2020-01-01T22") + np.arange(48) * np.timedelta64(1, "h")
    sub = diurnal(times, "day", 6, utc_offset_h=2.0)  # local midnight at 22 UTC
    assert sub.size == 8 and sub.index[:7].tolist() == [0] * 6 + [1] and sub.index[24] == 4
    assert str(sub.labels["period"][4]) == "2020-01-03" and sub.labels["hour"].tolist() == [0, 6, 12, 18] * 2
    with pytest.raises(TanhengError, match="lacks a class"):
        diurnal(times, "day", 6)


def test_height_bands_by_hand():
    assert BANDS.index.tolist() == [0, 0, 1, 1, 1] and BANDS.labels.tolist() == ["0-200 m", "200-1000 m"]


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (lambda: scaling("x", FLUX[:3], HALVES, DAYS, unit(4)), "flux of control block x does not fit"),
        (lambda: scaling("x", FLUX, HALVES, DAYS, unit(3)), "do not fit"),
        (lambda: scaling("x", FLUX * np.nan, HALVES, DAYS, unit(4)), "is not finite"),
        (lambda: points("x", np.ones((NT, 2)), ["P"], DAYS, unit(2)), "release"),
        (lambda: boundary("x", "west", STRUCTURE, bands([1.0, 2.0], [0.0, 9.0]), DAYS, unit(2)), "do not fit"),
        (lambda: boundary("x", "west", STRUCTURE, BANDS, DAYS, unit(4), pattern=np.ones((NT, NZ))), "do not fit"),
        (lambda: initial("x", STRUCTURE, bands([1.0, 2.0], [0.0, 9.0]), unit(1)), "do not fit"),
        (lambda: offsets("x", GROUPS, ["MOPITT"], unit(1)), "groups without observation"),
        (lambda: bias("x", {"a": np.ones(3)}, GROUPS, ["S5P"], unit(1)), "predictor a"),
        (lambda: bias("x", {"a": np.full(4, np.nan)}, GROUPS, ["S5P"], unit(1)), "predictor a"),
        (lambda: observation_columns([offsets("x", GROUPS, ["S5P"], unit(1))], 5), "other observations"),
        (lambda: ControlMap([block("x", "surface", np.ones((NT, NX)), np.zeros(1, int), 1)], STRUCTURE), "shape of"),
        (lambda: Block("x", "inflow", np.ones(NT), ZERO, np.zeros(1), unit(1), axes=(("a", HOURS),)), "the axes of"),
        (
            lambda: Block("x", "inflow", np.ones(NT), ZERO, np.zeros(2), unit(2), axes=(("a", [0]), ("a", [0, 1]))),
            "have one name",
        ),
        (lambda: Block("x", "inflow", np.ones(NT), ZERO, np.zeros(3), unit(3), weights=np.ones((4, 2))), "weights of"),
        (lambda: steps(HOURS, "fortnight"), "unknown time step"),
        (lambda: steps(np.arange(3), "day"), "are not times"),
        (lambda: diurnal(HOURS, "day", 5), "divide the day"),
        (lambda: bands([50.0, 100.0], [0.0, 10.0, 200.0]), "do not fit the layers"),
        (lambda: bands([5.0, 100.0], [10.0, 200.0]), "do not fit the layers"),
        (lambda: Steps(np.array([0, 2]), np.arange(3), np.zeros(3)), "do not fit their intervals"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(build, what):
    with pytest.raises(TanhengError, match=what):
        build()
