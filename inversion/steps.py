"""Time steps of the control vector: which element governs which interval of the transport."""

import dataclasses
import itertools

import numpy as np

from transport.errors import TanhengError

PERIODS = {"month": "datetime64[M]", "year": "datetime64[Y]", "day": "datetime64[D]", "hour": "datetime64[h]"}


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """A partition of intervals, or of layers, into elements.

    Args:
        index: (nt,) element of each interval.
        labels: (k,) name of each element: start of the period, or a structured array.
        hours: (k,) mean time of each element's intervals in hours after the first, for temporal correlation.

    Raises:
        TanhengError: an index outside the labels, or an element without an interval.
    """

    index: np.ndarray
    labels: np.ndarray
    hours: np.ndarray

    def __post_init__(self):
        if not np.array_equal(np.unique(self.index), np.arange(len(self.labels))) or np.ndim(self.index) != 1:
            raise TanhengError(
                "time steps do not fit their intervals", got=f"elements {np.unique(self.index)}",
                expected=f"each of 0…{len(self.labels) - 1}", remedy="leave out elements that never occur",
            )  # fmt: skip

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.labels)


def _grouped(index: np.ndarray, labels: np.ndarray, times: np.ndarray) -> Steps:
    hours = (times - times.min()) / np.timedelta64(1, "s") / 3600.0
    return Steps(index, labels, np.bincount(index, hours) / np.bincount(index))


def _times(times) -> np.ndarray:
    times = np.asarray(times)
    if times.ndim != 1 or times.size == 0 or not np.issubdtype(times.dtype, np.datetime64) or np.isnat(times).any():
        raise TanhengError(
            "times of intervals are not times", got=f"{times.dtype} of shape {times.shape}",
            expected="a vector of datetime64 without NaT", remedy="convert with numpy.datetime64",
        )  # fmt: skip
    return times.astype("datetime64[s]")


def constant(times) -> Steps:
    """One element for all intervals."""
    times = _times(times)
    return _grouped(np.zeros(times.size, int), times.min()[None], times)


def steps(times, every: str | int, utc_offset_h: float = 0.0) -> Steps:
    """Calendar periods, or blocks of hours counted from midnight of the first day.

    Args:
        times: (nt,) datetime64, start of each interval, UTC.
        every: "hour", "day", "week" (from Monday), "month", "year", or a number of hours.
        utc_offset_h: local minus universal time, so that days begin at local midnight.

    Raises:
        TanhengError: an unknown period.
    """
    times = _times(times)
    local = times + np.timedelta64(round(3600 * utc_offset_h), "s")
    if isinstance(every, str) and every in PERIODS:
        start = local.astype(PERIODS[every])
    elif every == "week":
        # The epoch was a Thursday: three days later weeks begin on Monday.
        day = local.astype("datetime64[D]").astype(int)
        start = (day - (day + 3) % 7).astype("datetime64[D]")
    elif isinstance(every, int) and every > 0:
        origin, length = local.min().astype("datetime64[D]").astype("datetime64[s]"), np.timedelta64(3600 * every, "s")
        start = origin + (local - origin) // length * length
    else:
        raise TanhengError("unknown time step of the control vector", got=every,
                           expected=f"{', '.join(PERIODS)}, week, or a positive number of hours",
                           remedy="choose one of these")  # fmt: skip
    labels, index = np.unique(start, return_inverse=True)
    return _grouped(index, labels, times)


def diurnal(times, every: str | int, hours_per_class: int, utc_offset_h: float = 0.0) -> Steps:
    """Diurnal sub-steps: classes of the local hour within each period, period the slower.

    Its covariance is a product, e.g. Kronecker((OrnsteinUhlenbeck(days, τ), Dense(between classes))), as long as every
    period has every class; that is required.

    Args:
        times: (nt,) datetime64, start of each interval, UTC.
        every: period as for `steps`, a day or longer.
        hours_per_class: hours of day per class, a divisor of 24.
        utc_offset_h: local minus universal time.

    Returns:
        Steps whose labels have the fields "period" and "hour" (first local hour of the class).

    Raises:
        TanhengError: classes that do not divide the day; a period in which a class never occurs.
    """
    if hours_per_class < 1 or 24 % hours_per_class:
        raise TanhengError("classes of hours must divide the day", got=hours_per_class,
                           expected="1, 2, 3, 4, 6, 8, 12 or 24", remedy="choose one of these")  # fmt: skip
    times = _times(times)
    periods, count = steps(times, every, utc_offset_h), 24 // hours_per_class
    seconds = times.astype(int) + round(3600 * utc_offset_h)
    index = periods.index * count + seconds // 3600 % 24 // hours_per_class
    labels = np.empty(periods.size * count, dtype=[("period", periods.labels.dtype), ("hour", int)])
    labels["period"] = np.repeat(periods.labels, count)
    labels["hour"] = np.tile(np.arange(count) * hours_per_class, periods.size)
    missing = np.setdiff1d(np.arange(labels.size), index)
    if missing.size:
        raise TanhengError(
            "a period lacks a class of hours", got=f"none at {labels[missing[0]]}, {missing.size} in all",
            expected="every class in every period", remedy="begin and end at local midnight, or widen the classes",
        )  # fmt: skip
    return _grouped(index, labels, times)


def bands(heights, edges) -> Steps:
    """Height bands: which element governs which model layer.

    Args:
        heights: (nz,) mid heights of the layers in m, increasing.
        edges: (k+1,) edges of the bands in m, increasing; layers above the last belong to the last band.

    Raises:
        TanhengError: a band without a layer, or a layer below the first edge.
    """
    heights, edges = np.asarray(heights, dtype=float), np.asarray(edges, dtype=float)
    index = np.minimum(np.searchsorted(edges, heights, side="right") - 1, edges.size - 2)
    missing = np.setdiff1d(np.arange(edges.size - 1), index)
    if missing.size or index.min() < 0 or not (np.diff(edges) > 0).all():
        raise TanhengError(
            "height bands do not fit the layers", got=f"edges {edges} m, layers {heights.min():g}…{heights.max():g} m",
            expected="increasing edges, from below the first layer, with a layer in each band",
            remedy="join bands, or begin at 0 m",
        )  # fmt: skip
    labels = np.array([f"{low:g}-{high:g} m" for low, high in itertools.pairwise(edges)])
    return Steps(index, labels, np.zeros(labels.size))
