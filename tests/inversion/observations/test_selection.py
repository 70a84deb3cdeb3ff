"""Filters: what stays, what is counted as left out, and Cabauw's afternoons."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inversion.observations import Component, Observations, selection
from transport.errors import TanhengError


def series(values, hours, lon=0.0, groups="A", **fields):
    """Hourly means from hours after 2020-06-01T00."""
    values, n = np.array(values, float), len(values)
    start = np.datetime64("2020-06-01", "ns") + (np.array(hours) * 3600e9).astype("timedelta64[ns]")
    height = fields.pop("height", 10.0)
    sigma = fields.pop("sigma", np.ones(n))
    return Observations(
        values, start, start + np.timedelta64(1, "h"), np.broadcast_to(groups, n),
        fields.pop("kinds", np.full(n, "tower")), "ppm",
        (Component.independent("repeatability", sigma),), "CO2", lon=np.broadcast_to(lon, n),
        lat=fields.pop("lat", np.full(n, 50.0)), height=np.broadcast_to(height, n), **fields,
    )  # fmt: skip


def hours_of(o):
    return ((o.start - np.datetime64("2020-06-01", "ns")) / np.timedelta64(1, "h")).tolist()


def test_local_hours_by_longitude_and_by_offset():
    o = series([1.0, 2.0], [10, 22], lon=116.4)  # Beijing: + 7.76 h
    np.testing.assert_allclose(selection.local_hour(o), [10.5 + 7.76, 22.5 + 7.76 - 24])
    np.testing.assert_allclose(selection.local_hour(o, 8.0), [18.5, 6.5])
    with pytest.raises(TanhengError, match="longitude"):
        selection.local_hour(series([1.0], [0], lon=np.nan))


@pytest.mark.parametrize(
    ("lon", "expected"), [(0.0, [12, 13, 14, 15]), (-90.0, [18, 19, 20, 21]), (174.0, [0, 1, 2, 3])]
)
def test_afternoon_is_local(lon, expected):
    # 174° E is 11.6 h ahead: 00:30 UTC is 12:06 there.
    o = selection.afternoon(series(np.arange(24), np.arange(24), lon=lon))
    assert hours_of(o) == expected
    assert o.steps[-1].dropped == (("other hours", 20),) and o.steps[-1].kept == 4


def test_hours_across_midnight():
    o = selection.hours(series(np.arange(24), np.arange(24)), 22, 4)
    assert hours_of(o) == [0, 1, 2, 3, 22, 23]
    with pytest.raises(TanhengError, match="out of range"):
        selection.hours(o, 22, 28)


def test_shallow_or_unknown_mixing_is_left_out():
    o = series(np.arange(4), [12, 13, 14, 15])
    kept = selection.afternoon(o, mixing_height=[300.0, np.nan, 500.0, 1500.0])
    assert hours_of(kept) == [14, 15]
    assert dict(kept.steps[-1].dropped) == {"mixing height not known": 1, "mixing height < 500 m": 1}
    with pytest.raises(TanhengError, match="does not fit"):
        selection.afternoon(o, mixing_height=[1.0])


def test_only_leaves_other_rows_in_peace():
    o = series([1.0, 2.0, 3.0], [3, 3, 13], kinds=["column", "tower", "tower"])
    kept = selection.afternoon(o, only=o.kinds == "tower")
    assert kept.values.tolist() == [1.0, 3.0]
    with pytest.raises(TanhengError, match="wrong length"):
        selection.afternoon(o, only=[True])


def test_wind_and_variability():
    o = series([1.0, 2.0, 3.0], [1, 2, 3], extra={"std_dev": np.array([0.1, 2.0, np.nan])})
    assert selection.between(o, "wind, m/s", [1.0, 2.0, np.nan], low=2.0).values.tolist() == [2.0]
    kept = selection.variability(o, 0.5)
    assert kept.values.tolist() == [1.0]
    assert dict(kept.steps[-1].dropped) == {
        "standard deviation in the window not known": 1,
        "standard deviation in the window > 0.5": 1,
    }
    with pytest.raises(TanhengError, match="variability"):
        selection.variability(series([1.0], [0]), 1.0)


def test_gradient_between_inlets():
    o = series(
        [400.0, 400.4, 410.0, 401.0, 402.0, 390.0], [1, 1, 2, 2, 3, 1], height=[20.0, 100.0, 20.0, 100.0, 100.0, 10.0],
        groups=["M", "M", "M", "M", "M", "single"],
    )  # fmt: skip
    kept = selection.inlet_gradient(o, 1.0)
    assert kept.values.tolist() == [400.0, 400.4, 390.0]
    assert dict(kept.steps[-1].dropped) == {"only one inlet at that time": 1, "inlets differ > 1 ppm": 2}


def test_fast_changes():
    # 400 → 401 → 411 → 411.5; after a gap of 10 h a jump that nobody saw.
    o = series([411.0, 400.0, 401.0, 411.5, 500.0], [2, 0, 1, 3, 13])
    kept = selection.steadiness(o, 5.0)
    assert sorted(kept.values.tolist()) == [400.0, 411.5, 500.0]


def test_outliers_by_hand():
    values = [*range(1, 10), 100.0]  # median 5.5; |d| = 4.5 3.5 2.5 1.5 .5 .5 1.5 2.5 3.5 94.5: MAD 2.5; σ 3.7065
    o = series(values, np.arange(10))
    assert selection.outliers(o, k=5.0).values.tolist() == list(range(1, 10))
    assert len(selection.outliers(o, k=26.0)) == 10  # 94.5 / 3.7065 = 25.496
    assert len(selection.outliers(o, k=25.4)) == 9
    assert len(selection.outliers(o, k=5.0, least=11)) == 10


def test_outliers_in_a_running_window_see_the_season():
    rng = np.random.default_rng(0)
    t = np.arange(24 * 200)
    values = 400 + 20 * np.sin(2 * np.pi * t / (24 * 200)) + 0.3 * rng.normal(size=t.size)
    values[1200] -= 6.0  # at the maximum of the season: inside the range of the whole series
    o = series(values, t)
    assert len(selection.outliers(o, k=8.0)) == t.size
    kept = selection.outliers(o, k=8.0, days=3.0)
    assert set(hours_of(o)) - set(hours_of(kept)) == {1200.0}


def test_flags_by_pattern():
    o = series([1.0, 2.0, 3.0, 4.0], np.arange(4), flags=np.array(["...", ".C.", "N..", "..I"]))
    kept = selection.flags(o, (".*",))
    assert kept.flags.tolist() == ["...", ".C.", "..I"] and dict(kept.steps[-1].dropped) == {"flag N..": 1}
    assert len(selection.flags(series([1.0, 2.0], [0, 1], flags=np.array(["O", "o"])), ("O", "R"))) == 1


def test_box_period_sites():
    o = series([1.0, 2.0, 3.0], [0, 1, 2], lon=[179.0, -179.0, 0.0], groups=["A", "B", "C"])
    assert selection.box(o, 178.0, 40.0, -178.0, 60.0).values.tolist() == [1.0, 2.0]
    assert selection.box(o, -1.0, 40.0, 1.0, 60.0).values.tolist() == [3.0]
    assert selection.period(o, "2020-06-01T01", "2020-06-01T02").values.tolist() == [2.0]
    assert selection.sites(o, ["A", "C"]).values.tolist() == [1.0, 3.0]
    with pytest.raises(TanhengError, match="no observation is of this group") as error:
        selection.sites(o, ["AA"])
    assert "A, B, C" in error.value.expected


def test_thinning_keeps_the_surest():
    # 0.01° of latitude is 1.11 km: 0 – 1.11 – 2.22 km; the middle one is surest.
    o = series([1.0, 2.0, 3.0], [0, 0, 0], lat=np.array([50.0, 50.01, 50.02]), sigma=np.array([1.0, 0.5, 1.0]))
    assert selection.thin(o, 1500.0).values.tolist() == [2.0]
    assert selection.thin(o, 1000.0).values.tolist() == [1.0, 2.0, 3.0]
    other = o.replace(groups=np.array(["A", "B", "A"]))
    assert selection.thin(other, 1500.0).values.tolist() == [1.0, 2.0, 3.0]  # 1 and 3 are 2.2 km apart


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e3, 2e6))
def test_thinned_places_are_apart_and_nobody_went_without_a_neighbour(seed, spacing):
    rng = np.random.default_rng(seed)
    n = 60
    o = series(rng.normal(size=n), np.zeros(n), lon=rng.uniform(-180, 180, n), lat=rng.uniform(-90, 90, n))
    near = o.replace(
        lon=(179.9 + rng.normal(size=n) * 3 + 180) % 360 - 180, lat=np.clip(rng.normal(size=n) * 3, -90, 90)
    )
    for one in (o, near):
        kept = selection.thin(one, spacing)
        d = distances(kept.lon, kept.lat, kept.lon, kept.lat)
        np.fill_diagonal(d, np.inf)
        assert d.min() >= spacing * (1 - 1e-9)
        assert (distances(one.lon, one.lat, kept.lon, kept.lat).min(axis=1) < spacing).all()


def distances(lon, lat, lon2, lat2):
    """Haversine, m."""
    a, b, c, d = (np.deg2rad(x) for x in (lon, lat, lon2, lat2))
    s = np.sin((b[:, None] - d) / 2) ** 2 + np.cos(b)[:, None] * np.cos(d) * np.sin((a[:, None] - c) / 2) ** 2
    return 2 * 6.371e6 * np.arcsin(np.sqrt(np.clip(s, 0, 1)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_every_row_is_kept_or_counted(seed):
    rng = np.random.default_rng(seed)
    n = 50
    o = series(
        rng.normal(size=n), rng.integers(0, 200, n), lon=rng.uniform(-180, 180, n), flags=rng.choice(["O", "N"], n)
    )
    for act in (
        lambda o: selection.hours(o, *rng.uniform(0, 24, 2)), lambda o: selection.flags(o, ("O",)),
        lambda o: selection.outliers(o, 2.0), lambda o: selection.steadiness(o, 0.5),
        lambda o: selection.box(o, -90, 0, 90, 80),
    ):  # fmt: skip
        try:
            kept = act(o)
        except TanhengError as error:
            if error.what != "no observation is left":
                raise
            continue
        assert kept.steps[-1].before == n and kept.steps[-1].kept == len(kept)


def cabauw(real):
    """Two days of June 2022 at 207 m, read with h5py: start 00 UTC, hourly."""
    with h5py.File(real("obspack_and_flask/co2_cbw_tower-insitu_445_allvalid-207magl.nc")) as f:
        start = f["start_time"][:]
        rows = (start >= 1654041600) & (start < 1654041600 + 2 * 86400)  # 2022-06-01T00Z
        value, sd, ltr = (f[k][:][rows].astype(float) * 1e6 for k in ("value", "value_std_dev", "icos_LTR"))
        lon, lat = float(f["longitude"][0]), float(f["latitude"][0])
    start = start[rows].astype("datetime64[s]")
    n = len(start)
    return Observations(
        value, start, start + np.timedelta64(1, "h"), np.full(n, "CBW"), np.full(n, "tower"), "ppm",
        (Component.independent("repeatability", ltr),), "CO2", lon=np.full(n, lon), lat=np.full(n, lat),
        height=np.full(n, 207.0), scales=np.full(n, "WMO CO2 X2019"), extra={"std_dev": sd},
    )  # fmt: skip


def test_afternoons_of_cabauw(real):
    o = selection.afternoon(cabauw(real))
    # 4.9264° E is 19.7 min ahead: windows from 12, 13, 14 and 15 UTC have their middle in 12…16 h.
    expected = [423.563, 422.305, 422.381, 422.959, 423.291, 423.390, 422.998, 420.062]
    np.testing.assert_allclose(o.values, expected, atol=6e-4)
    assert o.start[0] == np.datetime64("2022-06-01T12") and o.steps[-1].dropped == (("other hours", 40),)
    assert len(selection.variability(o, 0.7)) == 6  # σ of 0.811 and 0.982 ppm go
