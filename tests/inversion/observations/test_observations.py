"""The observation set: what it refuses, how rows are taken, joined, described and kept in a file."""

import dataclasses

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from inversion.observations import (
    CAUSES,
    KINDS,
    Component,
    Observations,
    Source,
    Step,
    Vertical,
    describe,
    join,
    mismatch,
    netcdf,
    units,
)
from transport.errors import TanhengError


def observations(**changes):
    fields = {
        "values": np.array([400.0, 401.0]),
        "start": np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[s]"),
        "end": np.array(["2020-01-01T01", "2020-01-02T01"], dtype="datetime64[s]"),
        "groups": np.array(["A", "B"]),
        "components": (Component.independent("repeatability", [1.0, 2.0]),),
        "unit": "ppm",
        "species": "CO2",
        "kinds": np.array(["tower", "tower"]),
    }
    return Observations(**{**fields, **changes})


def test_repr_tells_what_is_there():
    assert "2 CO2 in ppm: A 1, B 1" in repr(observations())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"values": np.array([400.0, np.nan])}, "observed value is not finite"),
        ({"components": (Component.independent("repeatability", [1.0, -3.0]),)}, "negative or infinite"),
        ({"components": (Component.independent("repeatability", [1.0, np.inf]),)}, "negative or infinite"),
        ({"components": (Component.independent("repeatability", [1.0]),)}, "component repeatability has the wrong"),
        ({"components": (Component.independent("luck", [1.0, 1.0]),)}, "unknown cause"),
        ({"kinds": np.array(["tower", "balloon"])}, "unknown kind"),
        ({"end": np.array(["2019-01-01", "2020-01-02"], dtype="datetime64[s]")}, "ends before it starts"),
        ({"end": np.array(["NaT", "2020-01-02"], dtype="datetime64[s]")}, "ends before it starts"),
        ({"lat": np.array([91.0, 0.0])}, "nowhere on Earth"),
        ({"lon": np.array([0.0, 181.0])}, "nowhere on Earth"),
        ({"origin": np.array([0, 5])}, "names no source"),
        ({"extra": {"albedo": np.zeros(3)}}, "wrong length"),
        ({"values": np.array([])}, "no observation is left"),
    ],
)
def test_bad_input_is_explained(changes, what):
    with pytest.raises(TanhengError, match=what) as error:
        observations(**changes)
    assert error.value.expected is not None and error.value.remedy is not None


def test_sigma_is_the_root_of_the_sum_of_squares():
    o = observations().with_components(Component.shared("calibration", [2.0, 2.0], "cylinder"))
    np.testing.assert_allclose(o.sigma, np.sqrt([5.0, 8.0]), rtol=1e-15)
    np.testing.assert_array_equal(o.component("calibration"), [2.0, 2.0])
    np.testing.assert_array_equal(o.component("transport"), [0.0, 0.0])


def test_shared_errors_are_in_R():
    o = observations().with_components(
        Component.shared("calibration", [2.0, 3.0], "cylinder"),
        Component.shared("retrieval bias", [0.5, 0.5], ["a", "b"]),
    )
    R = np.array([[1.0 + 4.0 + 0.25, 6.0], [6.0, 4.0 + 9.0 + 0.25]])
    np.testing.assert_allclose(mismatch.covariance(o).mv(jnp.eye(2)), R, rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(np.diag(R)), o.sigma, rtol=1e-15)


def test_r_is_refused_where_an_error_is_not_known_or_only_shared():
    with pytest.raises(TanhengError, match="not positive"):
        mismatch.covariance(observations(components=(Component.independent("repeatability", [1.0, np.nan]),)))
    with pytest.raises(TanhengError, match="singular"):
        mismatch.covariance(observations(components=(Component.shared("calibration", [1.0, 1.0], "cylinder"),)))


def test_rows_are_left_out_by_the_first_reason():
    o = observations().drop("test", {"first": np.array([True, False]), "second": np.array([True, False])})
    assert len(o) == 1 and o.groups.tolist() == ["B"] and o.components[0].sigma.tolist() == [2.0]
    assert o.steps == (Step("test", 1, (("first", 1),)),) and o.steps[0].before == 2
    with pytest.raises(TanhengError, match=r"dropped \{'all': 2\}"):
        observations().drop("test", {"all": np.ones(2, bool)})


def test_scales_are_not_mixed():
    o = observations(scales=np.array(["WMO CO2 X2007", "WMO CO2 X2019"]))
    with pytest.raises(TanhengError, match="different scales"):
        _ = o.scale
    assert o.take(np.array([0])).scale == "WMO CO2 X2007"


def _columns(n=2, m=3, layered=True):
    pressure = np.linspace(1e5, 0.0, m + 1 if layered else m)
    return Vertical(
        np.tile(pressure, (n, 1)), np.full(n, layered), np.full((n, m), 1 / m), np.ones((n, m)), np.full((n, m), 400.0),
        np.full(n, 400.0),
    )  # fmt: skip


def test_sets_are_joined():
    tower = observations(sources=(Source("a.nc", "0" * 64, "test", "start"),))
    column = observations(
        kinds=np.array(["column", "column"]), vertical=_columns(), corners=np.zeros((2, 4, 2)),
        components=(Component.independent("retrieval noise", [0.5, 0.5]),), extra={"albedo": np.array([0.1, 0.2])},
        sources=(Source("b.nc", "1" * 64, "test", "instant"),),
    )  # fmt: skip
    other = (Source("c.nc", "2" * 64, "test", "instant"),)
    deep = column.replace(vertical=_columns(m=5, layered=False), sources=other)
    both = join([tower, column, deep])
    assert len(both) == 6 and both.origin.tolist() == [0, 0, 1, 1, 2, 2] and len(both.sources) == 3
    np.testing.assert_allclose(both.sigma, [1.0, 2.0, 0.5, 0.5, 0.5, 0.5])
    assert both.vertical is not None and both.corners is not None
    assert both.vertical.pressure.shape == (6, 6) and both.vertical.layered.tolist() == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]
    assert np.isnan(both.extra["albedo"][:2]).all() and np.isnan(both.corners[0]).all()
    with pytest.raises(TanhengError, match="cannot be joined"):
        join([tower, units.to_unit(tower, "ppb")])


def test_pressures_must_decrease():
    bad = _columns()
    with pytest.raises(TanhengError, match="do not decrease"):
        dataclasses.replace(bad, pressure=bad.pressure[:, ::-1])


def test_units_convert_everything_in_the_unit():
    o = units.to_unit(observations(vertical=_columns(), kinds=np.array(["column", "column"])), "ppb")
    np.testing.assert_allclose(o.values, [4e5, 4.01e5])
    np.testing.assert_allclose(o.sigma, [1e3, 2e3])
    assert o.vertical is not None
    np.testing.assert_allclose(o.vertical.prior, 4e5)
    for text, factor in {"micromol mol-1": 1e-6, "nmol.mol-1": 1e-9, "mol mol-1": 1.0, "1e-9": 1e-9}.items():
        assert units.mole_fraction(text, "x") == factor
    with pytest.raises(TanhengError, match="unit that is not known"):
        units.mole_fraction("mg m-3", "x")


def test_description_tells_what_was_dropped_and_why():
    o = observations(steps=(Step("read", 2, (("fill value", 3), ("flag N", 1))),), scales=np.full(2, "WMO CO2 X2019"))
    text = describe(o)
    for word in ("read", "fill value: 3; flag N: 1", "WMO CO2 X2019", "repeatability", "1.58"):
        assert word in text, text
    assert " 6 " in text  # before


_NUMBER = st.floats(-1e6, 1e6)


@st.composite
def sets(draw):
    """Any set: words of any language, columns or not, shared errors, zero-length windows."""
    n = draw(st.integers(1, 5))
    word = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=8)
    words = lambda: np.array(draw(st.lists(word, min_size=n, max_size=n)), dtype=str)  # noqa: E731
    numbers = lambda *tail, low=-1e6, high=1e6: draw(  # noqa: E731
        hnp.arrays(float, (n, *tail), elements=st.one_of(st.just(np.nan), st.floats(low, high)))
    )
    start = np.datetime64("2020-01-01", "ns") + draw(hnp.arrays(np.int64, n, elements=st.integers(0, 10**17)))
    causes = draw(st.lists(st.sampled_from(CAUSES), max_size=3))
    columns = draw(st.booleans())
    m = draw(st.integers(1, 4))
    sources = tuple(
        Source(name, "0" * 64, "any", "start", draw(word), (draw(word),)) for name in draw(st.lists(word, max_size=2))
    )
    return Observations(
        values=draw(hnp.arrays(float, n, elements=_NUMBER)), start=start,
        end=start + draw(hnp.arrays(np.int64, n, elements=st.integers(0, 10**15))).astype("timedelta64[ns]"),
        groups=words(), kinds=np.array(draw(st.lists(st.sampled_from(KINDS), min_size=n, max_size=n))), unit="ppm",
        components=tuple(Component(c, numbers(low=0.0), words()) for c in causes), species="CO2",
        lon=numbers(low=-180.0, high=180.0), lat=numbers(low=-90.0, high=90.0), height=numbers(), altitude=numbers(),
        scales=words(), flags=words(), instruments=words(),
        vertical=dataclasses.replace(_columns(n, m, draw(st.booleans())), kernel=numbers(m)) if columns else None,
        ends=numbers(3) if draw(st.booleans()) else None, corners=numbers(4, 2) if columns else None,
        extra={"albedo": numbers()} if draw(st.booleans()) else {}, sources=sources,
        steps=(Step(draw(word), n, ((draw(word), 3),)),),
    )  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(o=sets())
def test_a_file_holds_the_whole_set(tmp_path, o):
    assert_same(netcdf.read(netcdf.write(o, tmp_path / "o.nc")), o)


def assert_same(a, b):
    """Every field of two sets is equal, NaN included."""
    for field in dataclasses.fields(b):
        one, two = getattr(a, field.name), getattr(b, field.name)
        if isinstance(two, np.ndarray):
            np.testing.assert_array_equal(one, two, err_msg=field.name)
        elif field.name in ("components", "vertical"):
            pairs = zip(one, two, strict=True) if isinstance(two, tuple) else ([(one, two)] if two is not None else [])
            assert (one is None) == (two is None)
            for p, q in pairs:
                for inner in dataclasses.fields(q):
                    np.testing.assert_array_equal(getattr(p, inner.name), getattr(q, inner.name), err_msg=inner.name)
        elif field.name == "extra":
            assert list(one) == list(two)
            for key in two:
                np.testing.assert_array_equal(one[key], two[key])
        else:
            assert one == two, field.name


def test_the_file_follows_cf(tmp_path):
    import xarray as xr

    path = netcdf.write(observations(lon=np.array([5.0, 6.0]), lat=np.array([50.0, 51.0])), tmp_path / "o.nc")
    with xr.open_dataset(path, engine="h5netcdf") as data:
        assert data.attrs["Conventions"].startswith("CF-1.")
        assert data.value.attrs["standard_name"] == "mole_fraction_of_carbon_dioxide_in_air"
        assert data.value.attrs["units"] == "1e-6"
        assert str(data.time.values[0])[:19] == "2020-01-01T00:30:00"
        assert data.time.attrs["bounds"] == "time_bounds"


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    path = netcdf.write(observations(), tmp_path / "o.nc")
    for length in (10, 500, path.stat().st_size - 200):
        cut = tmp_path / "cut.nc"
        cut.write_bytes(path.read_bytes()[:length])
        with pytest.raises(TanhengError, match="cannot be read"):
            netcdf.read(cut)
    with pytest.raises(TanhengError, match="cannot be read"):
        netcdf.read(tmp_path / "none.nc")


def test_errors_are_correlated_by_distance_within_a_group():
    o = observations(lon=np.array([10.0, 10.0]), lat=np.array([50.0, 50.1]), groups=np.array(["A", "A"]))
    o = o.with_components(Component.independent("retrieval bias", [2.0, 3.0]))
    d = 6371.0 * np.deg2rad(0.1)
    off = 6.0 * np.exp(-d / 20.0)
    R = np.array([[1.0 + 4.0, off], [off, 4.0 + 9.0]])
    np.testing.assert_allclose(mismatch.covariance(o, {"retrieval bias": 20.0}).mv(jnp.eye(2)), R, rtol=1e-9)
    apart = o.replace(groups=np.array(["A", "B"]))
    np.testing.assert_allclose(mismatch.covariance(apart, {"retrieval bias": 20.0}).mv(jnp.eye(2)), np.diag(np.diag(R)))
    with pytest.raises(TanhengError, match="does not have"):
        mismatch.covariance(o, {"transport": 20.0})
    for wrong in (0.0, np.nan):
        with pytest.raises(TanhengError, match="correlated by distance"):
            mismatch.covariance(o, {"retrieval bias": wrong})
    with pytest.raises(TanhengError, match="without a place"):
        mismatch.covariance(observations(), {"repeatability": 20.0})


def test_one_error_in_two_components_is_one_error():
    """Joined sets may hold the error of one cylinder in different components of a cause."""
    one = Component("calibration", np.array([2.0, 0.0]), np.array(["cylinder", ""]))
    two = Component("calibration", np.array([0.0, 3.0]), np.array(["", "cylinder"]))
    R = np.array([[1.0 + 4.0, 6.0], [6.0, 4.0 + 9.0]])
    np.testing.assert_allclose(mismatch.covariance(observations().with_components(one, two)).mv(jnp.eye(2)), R)


def test_a_file_is_not_joined_with_itself():
    o = observations(sources=(Source("a.nc", "0" * 64, "test", "start"),))
    with pytest.raises(TanhengError, match="twice"):
        join([o, o])
    assert len(join([o.take(np.array([0])), o.take(np.array([1]))])) == 2
