import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from inversion.control import ControlMap
from inversion.covariance import Diagonal
from priors import biosphere
from priors.biosphere import Drivers, GreenRespiration, Light, LinearRespiration, Parameters
from priors.inventory import Inventory
from priors.vegetation import Vegetation, fill, indices, read_parameters
from tests.priors import fuzz
from transport.errors import TanhengError
from transport.grid import Grid
from transport.sources import Boundary, Sources

# EXAMPLE VALUES, made up for these tests; fitted values belong to a region and come from its literature.
EXAMPLE = """# EXAMPLE, not fitted to anything
reference: example for a test, no publication
classes:
  grass: {lam: 0.2, par0: 500, alpha: 0.1, beta: 0.5}
  crop: {lam: 0.1, par0: 800, alpha: 0.15, beta: 0.2}
  evergreen: {lam: 0.15, par0: 700, alpha: 0.2, beta: 0.3}
"""
NAMES = "grass", "crop", "evergreen"
CLASSES = Vegetation.of(*NAMES)
GRID = Grid(np.array([13.0, 13.1, 13.2]), np.array([52.0, 52.1, 52.2]))
TIMES = np.arange("2018-07-01T00", "2018-07-01T07", dtype="datetime64[h]")


def parameters():
    light = Light(jnp.array([0.2, 0.1, 0.15]), jnp.array([500.0, 800.0, 700.0]))
    return Parameters(light, LinearRespiration(jnp.array([0.1, 0.15, 0.2]), jnp.array([0.5, 0.2, 0.3])))


def drivers(nt=1, celsius=20.0, shortwave=505.0, evi=0.5, lswi=0.2, fractions=(0.5, 0.3, 0.1)):
    def full(value, *shape):
        return jnp.full((*shape, 2, 2), value)

    ranges = jnp.stack([full(0.1, 3), full(0.8, 3)]), jnp.stack([full(-0.1, 3), full(0.4, 3)])
    fraction = jnp.asarray(fractions)[:, None, None] * jnp.ones((1, 2, 2))
    return Drivers(
        full(celsius + 273.15, nt), full(shortwave, nt), full(evi, nt, 3), full(lswi, nt, 3), *ranges, fraction
    )


def test_uptake_and_respiration_by_hand():
    gee = np.asarray(biosphere.uptake(parameters().light, CLASSES, drivers())[0, :, 0, 0])
    # PAR 1000. Grass: T 22·(−16)/(22·(−16) − 9) = 352/361, W 0.3/0.5, P 1.2/2, light 1000/(1 + 2)
    assert gee[0] == pytest.approx(-0.2 * 352 / 361 * 0.6 * 0.6 * 0.5 * 1000 / 3, rel=1e-12)
    # Crop: T 690/706, W 1.2/1.4, leaves full since 0.5 > 0.1 + 0.55·0.7 = 0.485
    assert gee[1] == pytest.approx(-0.1 * 690 / 706 * 1.2 / 1.4 * 0.5 * 1000 / 2.25, rel=1e-12)
    # Evergreen: T 24·18/(24·18 + 25) = 432/457, leaves always full
    assert gee[2] == pytest.approx(-0.15 * 432 / 457 * 1.2 / 1.4 * 0.5 * 1000 / (1 + 1000 / 700), rel=1e-12)
    r = biosphere.respiration(parameters().respiration, CLASSES, drivers())[0, :, 0, 0]
    np.testing.assert_allclose(r, [2.5, 3.2, 4.3], rtol=1e-12)
    net = biosphere.exchange(parameters(), CLASSES, drivers())[0, 0, 0]
    assert net == pytest.approx(0.5 * (gee[0] + 2.5) + 0.3 * (gee[1] + 3.2) + 0.1 * (gee[2] + 4.3), rel=1e-12)


def test_water_scale_is_never_above_one():
    # Above its highest of 0.4: 1.9/1.4, and for grass, a dry class, 1.0/0.5
    scale = biosphere.water_scale(CLASSES, drivers(lswi=0.9))
    np.testing.assert_array_equal(scale, 1.0)
    most = biosphere.uptake(parameters().light, CLASSES, drivers(lswi=0.4))[0, 2, 0, 0]  # evergreen: W alone has LSWI
    assert biosphere.uptake(parameters().light, CLASSES, drivers(lswi=0.9))[0, 2, 0, 0] == most


def test_leaves_of_crops_are_scaled_by_water_below_the_threshold():
    low = biosphere.uptake(parameters().light, CLASSES, drivers(evi=0.48))[0, 1, 0, 0]
    assert low == pytest.approx(-0.1 * 690 / 706 * 1.2 / 1.4 * 0.6 * 0.48 * 1000 / 2.25, rel=1e-12)


@pytest.mark.parametrize(("celsius", "shortwave"), [(-10.0, 500.0), (60.0, 500.0), (20.0, 0.0), (20.0, -0.5)])
def test_no_uptake_in_frost_in_heat_or_at_night(celsius, shortwave):
    gee = biosphere.uptake(parameters().light, CLASSES, drivers(celsius=celsius, shortwave=shortwave))
    assert (gee == 0).all()


def test_respiration_is_constant_below_its_low_temperature_and_never_negative():
    r = biosphere.respiration(parameters().respiration, CLASSES, drivers(celsius=-10.0))[0, :, 0, 0]
    np.testing.assert_allclose(r, [0.1 * -2 + 0.5, 0.0, 0.0], atol=1e-12)  # 0.15·(−3) + 0.2 < 0, 0.2·(−3) + 0.3 < 0


def test_modified_respiration_by_hand():
    p = GreenRespiration(*(jnp.full(3, v) for v in (0.5, 0.1, 0.01, 2.0, 1.0, 0.2, 0.03, 5.0, 0.4)))
    warm = biosphere.respiration(p, CLASSES, drivers())[0, 0, 0, 0]  # T 20, EVI 0.5, W 0.6
    assert warm == pytest.approx(0.5 + 2 + 4 + 1 + 0.36 * (1 + 4 + 12), rel=1e-12)
    cold = biosphere.respiration(p, CLASSES, drivers(celsius=0.0))[0, 0, 0, 0]  # T' = 5 − 0.4·5 = 3
    assert cold == pytest.approx(0.5 + 0.3 + 0.09 + 1 + 0.36 * (1 + 0.6 + 0.27), rel=1e-12)


def test_sums_of_regions_are_mass_with_sinks_by_class():
    inventory = biosphere.inventory(parameters(), CLASSES, drivers(6), GRID, TIMES)
    assert inventory.sectors[:4] == ("grass uptake", "crop uptake", "evergreen uptake", "grass respiration")
    inside = np.array([[1.0, 0.0], [0.5, 0.0]])
    gee = -0.2 * 352 / 361 * 0.36 * 0.5 * 1000 / 3  # µmol m-2 s-1 of grass, half of each cell
    area = GRID.areas[0, 0] + 0.5 * GRID.areas[1, 0]
    totals = inventory.totals(inside)
    assert totals["grass uptake"] == pytest.approx(gee * 0.5 * area * 44.0095e-9, rel=1e-12)
    assert totals["evergreen respiration"] == pytest.approx(4.3 * 0.1 * area * 44.0095e-9, rel=1e-12)
    flux = biosphere.exchange(parameters(), CLASSES, drivers(6))
    np.testing.assert_allclose(inventory.flux().sum(axis=0), flux, rtol=1e-12)


def varied():
    rng = np.random.default_rng(3)
    d = drivers(4)
    shape = d.evi.shape
    return eqx.tree_at(
        lambda t: (t.temperature, t.shortwave, t.evi, t.lswi), d,
        (jnp.asarray(rng.uniform(285, 300, (4, 2, 2))), jnp.asarray(rng.uniform(0, 800, (4, 2, 2))),
         jnp.asarray(rng.uniform(0.1, 0.8, shape)), jnp.asarray(rng.uniform(-0.05, 0.4, shape))),
    )  # fmt: skip


@pytest.mark.parametrize("modified", [False, True])
def test_derivatives_by_jvp_are_those_of_finite_differences(modified):
    p, d = parameters(), varied()
    if modified:
        green = GreenRespiration(*(jnp.full(3, v) for v in (0.5, 0.1, 0.01, 2.0, 1.0, 0.2, 0.03, 15.0, 0.4)))
        p = Parameters(p.light, green)
    rng = np.random.default_rng(4)
    direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=3)) * leaf, p)

    def flux(parameter):
        return biosphere.exchange(parameter, CLASSES, d)

    _, exact = jax.jvp(flux, (p,), (direction,))
    h = 1e-5
    ahead, behind = (flux(jax.tree.map(lambda a, b, s=s: a + s * h * b, p, direction)) for s in (1, -1))
    np.testing.assert_allclose(exact, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-7)
    assert np.abs(exact).min() > 1e-4


def test_the_block_moves_the_flux_as_the_model_does():
    p, d = parameters(), varied()
    block = biosphere.block("vegetation", p, CLASSES, d, Diagonal(jnp.full(12, 0.1)))
    zero = jnp.zeros
    structure = Sources(zero((4, 2, 2)), zero((4, 0)),
                        Boundary(*(zero((4, 1, 2)) for _ in range(4)), zero((4, 2, 2))), zero((1, 2, 2)))  # fmt: skip
    shape = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), structure)
    control = ControlMap([block], shape)
    x = np.zeros(12)
    x[[0, 4, 6, 8, 9]] = 0.05, 0.0, 0.02, 0.03, -0.1  # λ grass, α and β of some: linear, so exact
    moved = Parameters(Light(p.light.lam + x[:3], p.light.par0 + x[3:6]),
                       LinearRespiration(p.respiration.alpha + x[6:9], p.respiration.beta + x[9:]))  # fmt: skip
    change = biosphere.exchange(moved, CLASSES, d) - biosphere.exchange(p, CLASSES, d)
    np.testing.assert_allclose(control.mv(jnp.asarray(x)).surface, change, rtol=1e-9, atol=1e-12)
    assert np.abs(change).max() > 0.1
    assert block.names[3] == "vegetation[parameter=par0, vegetation=grass]"
    x = np.zeros(12)
    x[3] = 1e-3  # PAR0 of grass
    moved = Parameters(Light(p.light.lam, p.light.par0 + x[3:6]), p.respiration)
    change = biosphere.exchange(moved, CLASSES, d) - biosphere.exchange(p, CLASSES, d)
    np.testing.assert_allclose(control.mv(jnp.asarray(x)).surface, change, rtol=1e-5, atol=1e-12)


# --- tables -----------------------------------------------------------------------------------------------------------
def test_the_classes_are_those_of_the_reference():
    crop = Vegetation.of("crop", "shrub")
    assert (crop.t_min[0], crop.t_opt[0], crop.t_max[0], crop.t_low[0]) == (-3, 16, 50, -3)
    assert crop.dry.tolist() == [False, True] and "10.1029/2006GB002735" in crop.sources[0].attribution
    with pytest.raises(TanhengError, match="unknown class"):
        Vegetation.of("crop", "tundra")


def table(tmp_path, text=EXAMPLE):
    path = tmp_path / "example_parameters.yaml"
    path.write_text(text, "utf-8")
    return path


def test_parameters_come_from_a_table_with_its_reference(tmp_path):
    found, source = read_parameters(table(tmp_path), CLASSES)
    np.testing.assert_array_equal(found.light.par0, [500, 800, 700])
    np.testing.assert_array_equal(found.respiration.alpha, [0.1, 0.15, 0.2])
    assert source.attribution == "example for a test, no publication"


@pytest.mark.parametrize("change", [
    ("reference: example for a test, no publication\n", ""), ("example for a test, no publication", "me"),
    ("grass:", "gras:"), ("lam: 0.2", "lam: -0.2"), ("par0: 500", "par0: high"), ("par0: 500, ", ""),
    ("par0: 500", "par0: .nan"), ("beta: 0.5", "beta: 0.5, extra: 1"), ("classes:", "classes"), ("{lam", "[lam"),
])  # fmt: skip
def test_a_table_that_lacks_something_is_refused(tmp_path, change):
    with pytest.raises(TanhengError, match="no table of VPRM parameters"):
        read_parameters(table(tmp_path, EXAMPLE.replace(*change)), CLASSES)


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.nightly)])
def test_fuzz_parameters(tmp_path, count):
    def read(path):
        p, _ = read_parameters(path, CLASSES)
        return {"all": np.concatenate([np.asarray(leaf) for leaf in jax.tree.leaves(p)])}

    tally = fuzz.fuzz(read, table(tmp_path), fuzz.TEXT, count, tmp_path / "f")
    assert tally["refused"] > count // 4, tally


@pytest.mark.parametrize("field", ["temperature", "shortwave", "evi", "lswi", "evi_range", "fraction"])
def test_drivers_that_cannot_be_are_refused(field):
    wrong = {"temperature": 20.0, "shortwave": 3.6e6, "evi": 5000.0, "lswi": np.nan, "evi_range": 0.5, "fraction": 0.6}
    bad = eqx.tree_at(lambda d: getattr(d, field), drivers(), jnp.full_like(getattr(drivers(), field), wrong[field]))
    with pytest.raises(TanhengError, match="vegetation cannot be used"):
        biosphere.inventory(parameters(), CLASSES, bad, GRID, TIMES[:2])


def flux_of(light=(0.2, 500.0), k=3, **changed):
    p = Parameters(Light(*(jnp.full(k, v) for v in light)), parameters().respiration)
    return lambda: biosphere.inventory(p, CLASSES, eqx.tree_at(lambda d: d.temperature, drivers(), **changed)
                                       if changed else drivers(), GRID, TIMES[:2])  # fmt: skip


WHEN = np.array(["2018-05-01", "2018-05-09"], "datetime64[D]")


@pytest.mark.parametrize(("what", "match"), [
    (flux_of((-0.2, 500.0)), "lam of the vegetation"), (flux_of((0.2, 0.0)), "par0 of the vegetation"),
    (flux_of((0.2, np.nan)), "par0 of the vegetation"), (flux_of(k=1), "lam of the vegetation"),
    (flux_of(k=4), "lam of the vegetation"), (flux_of(replace=jnp.full((1, 4), 290.0)), "temperature of the veg"),
    (lambda: biosphere.block("v", Parameters(parameters().light, LinearRespiration(jnp.ones(3), jnp.full(3, jnp.inf))),
                             CLASSES, drivers(), Diagonal(jnp.ones(12))), "beta of the vegetation"),
    (lambda: fill(np.ones(2), WHEN, WHEN[:0]), "must increase"),
    (lambda: fill(np.ones(3), WHEN, WHEN), "must increase"),
    (lambda: indices(np.ones(3), np.ones(2), np.ones(3), np.ones(3)), "bands do not fit"),
    (lambda: indices(*[np.full(3, np.nan)] * 4), "no reflectances"),
    (lambda: read_parameters("any.yaml", ("grass",)), "classes of vegetation"),
])  # fmt: skip
def test_vegetation_that_cannot_be_is_refused(what, match):
    with pytest.raises(TanhengError, match=match) as error:
        what()
    assert error.value.remedy


# --- indices ----------------------------------------------------------------------------------------------------------
def test_indices_by_hand():
    evi, lswi = indices([0.4, 0.02], [0.05, 0.05], [0.02, 0.03], [0.2, 0.01])
    # 2.5·0.35/(0.4 + 0.3 − 0.15 + 1) = 0.875/1.55; 0.2/0.6. Water is darker in the near infrared: clipped at zero.
    np.testing.assert_allclose(evi, [0.875 / 1.55, 0.0], rtol=1e-12)
    np.testing.assert_allclose(lswi, [1 / 3, 1 / 3], rtol=1e-12)
    assert np.isnan(indices([0.4, -0.3], [0.05, 0.05], [0.02, 0.02], [0.2, 0.2])[0][1])
    with pytest.raises(TanhengError, match="no reflectances"):
        indices([4000.0], [500.0], [200.0], [2000.0])


def test_gaps_are_filled_without_overshoot_and_long_ones_refused():
    when = np.arange("2018-05-01", "2018-08-01", 8, dtype="datetime64[D]")
    rng = np.random.default_rng(5)
    true = np.stack([np.linspace(0.2, 0.6, len(when)), rng.uniform(0.1, 0.8, len(when))], axis=1).reshape(-1, 1, 2)
    gaps = true.copy()
    gaps[3, 0, 0] = gaps[4, 0, 1] = gaps[5, 0, 1] = np.nan
    times = np.arange("2018-05-01", "2018-07-20", dtype="datetime64[D]")
    filled = fill(gaps, when, times)
    assert filled.shape == (80, 1, 2)
    np.testing.assert_allclose(filled[:, 0, 0], 0.2 + 0.4 * np.arange(80) / (8 * (len(when) - 1)), rtol=1e-12)
    assert filled[:, 0, 1].max() <= true[:, 0, 1].max() and filled[:, 0, 1].min() >= true[:, 0, 1].min()
    np.testing.assert_allclose(filled[::8, 0, 1][:4], true[:4, 0, 1], rtol=1e-12)
    with pytest.raises(TanhengError, match="too long a gap"):
        fill(gaps, when, times, longest=20.0)
    with pytest.raises(TanhengError, match="too long a gap"):
        fill(np.full_like(gaps, np.nan), when, times)


# --- fluxes from a file -----------------------------------------------------------------------------------------------
def test_cardamom_uptake_is_negative_and_of_europe_s_size(real):
    path = real("priors/co2-gpp-cardamom_EUROPE_2012.nc")
    with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as data:
        assert data.flux.attrs["units"] == "mol/m2/s"
        flux = data.flux.transpose("time", "lat", "lon").values.astype(float)
        grid = Grid.from_centres(data.lon.values.astype(float), data.lat.values.astype(float))
    times = np.array(["2012-01-01", "2012-02-01"], "datetime64[D]")
    inventory = Inventory("CO2", ("uptake",), (flux * 44.0095e-3 * grid.areas)[None], grid, times)
    # January: −2.2137066415348002e-07 mol m-2 s-1 on the average of all cells, most of them sea or winter.
    assert flux.mean() == pytest.approx(-2.2137066415348002e-07, rel=1e-12)
    assert inventory.total() < 0 and flux.max() <= 0
    np.testing.assert_allclose(inventory.flux()[0], flux * 1e6, rtol=1e-12)
