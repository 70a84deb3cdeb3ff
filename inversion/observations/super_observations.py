"""Super-observations: the pixels of one cell, or of one stretch of an orbit, as one value with one column operator.

σ² = (1 − r) Σ_k w_k² σ_k² + r (Σ_k w_k σ_k)² + σ_t²

that is, for P pixels of equal weight and error, σ_r² [(1 − r)/P + r] + σ_t² (Chen et al. 2023,
doi 10.5194/acp-23-5945-2023): r is the correlation of the retrieval errors within a super-observation and σ_t the error
of transport that does not average down.
"""

import numpy as np
import shapely

from inversion.observations.combining import Plan, columns, components, together
from inversion.observations.component import Component
from inversion.observations.observations import Observations, sift
from inversion.observations.record import Step
from transport.errors import TanhengError

WEIGHTS = ("equal", "inverse variance", "overlap")
# Of TROPOMI methane on the 25 km grid of that paper.
TROPOMI_CORRELATION, TROPOMI_TRANSPORT_PPB = 0.55, 4.5


def on_grid(
    observations: Observations, size: tuple[float, float], correlation: float, transport: float = 0.0,
    weights: str = "equal", least: int = 1, origin: tuple[float, float] = (-180.0, -90.0), tolerance: float = 5000.0,
) -> Observations:  # fmt: skip
    """One value per cell, group and UTC day.

    A pixel belongs to the cell of its centre alone, so that no pixel makes two super-observations correlated.

    Args:
        observations: columns, before errors of models are added.
        size: degrees of longitude and latitude of a cell.
        correlation: r, 0…1.
        transport: σ_t in the unit of the values; 0 adds no component.
        weights: "equal", "inverse variance" of the retrieval noise, or "overlap": the area of the pixel (from
            `corners`) that lies in the cell.
        least: pixels in a cell, else it is left out.
        origin: longitude and latitude of a corner of the grid.
        tolerance: Pa by which pressures of one layer may differ within a cell.

    Returns:
        One row per cell, with `corners` of the cell and extra "pixels" P and "effective_pixels" 1/Σ w².

    Raises:
        TanhengError: options out of range; values without place, scales mixed, grids of pressure that differ.
    """
    o = observations
    if not min(size) > 0.0 or not np.isfinite(o.lon + o.lat).all():
        raise TanhengError("pixels cannot be put on a grid", got=f"cells of {size}°, "
                           f"{int((~np.isfinite(o.lon + o.lat)).sum())} without place", expected="sizes > 0, places",
                           remedy="drop values without place")  # fmt: skip
    column = np.floor((o.lon - origin[0]) % 360.0 / size[0]).astype(int)
    row = np.floor((o.lat - origin[1]) / size[1]).astype(int)
    west, south = origin[0] + column * size[0], origin[1] + row * size[1]
    edges = [np.stack([west + i * size[0], south + j * size[1]], axis=1) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    cells = np.stack(edges, axis=1)
    cells[..., 0] = (cells[..., 0] + 180.0) % 360.0 - 180.0
    keys = [o.groups, o.middle.astype("datetime64[D]").astype(int), column, row]
    share = _overlap(o, west, south, size) if weights == "overlap" else None
    what = f"super-observations of {size[0]:g}° × {size[1]:g}°"
    return _unite(o, keys, what, correlation, transport, weights, share, least, tolerance, cells)


def along_track(
    observations: Observations, seconds: float, correlation: float, transport: float = 0.0, weights: str = "equal",
    least: int = 1, tolerance: float = 5000.0,
) -> Observations:  # fmt: skip
    """One value per stretch of an orbit, counted from the first sounding of each group.

    Args:
        observations: soundings whose groups are orbits or overpasses; the ground moves by some 6.8 km per second.
        seconds: length of a stretch.
        correlation, transport, least, tolerance: as in `on_grid`.
        weights: "equal" or "inverse variance".

    Raises:
        TanhengError: as in `on_grid`.
    """
    o = observations
    if not seconds > 0.0 or weights == "overlap":
        raise TanhengError("soundings along a track cannot be united", got=f"{seconds} s, weights {weights}",
                           expected=f"> 0 s, {' or '.join(WEIGHTS[:2])}", remedy="correct the option")  # fmt: skip
    group = np.unique(o.groups, return_inverse=True)[1]
    first = np.array([o.middle[group == g].min() for g in range(group.max() + 1)])
    stretch = ((o.middle - first[group]) // np.timedelta64(round(seconds * 1e9), "ns")).astype(int)
    what = f"super-observations of {seconds:g} s"
    return _unite(o, [o.groups, stretch], what, correlation, transport, weights, None, least, tolerance, None)


def _unite(o, keys, what, correlation, transport, weights, share, least, tolerance, cells) -> Observations:
    _check(correlation, transport, weights, o)
    labels = np.unique(np.rec.fromarrays(keys), return_inverse=True)[1]
    few = np.bincount(labels)[labels] < least
    keep, dropped = sift({f"fewer than {least} pixels": few}, len(o))
    if not keep.any():
        return o.take(keep, Step(what, 0, dropped))
    noise = o.component("retrieval noise")
    weight = {"equal": np.ones(len(o)), "inverse variance": noise**-2.0, "overlap": share}[weights]
    plan = Plan.of(labels, keep, weight)
    p = plan.counts()
    united = int(keep.sum()) - plan.size
    retrieval = np.sqrt(
        (1.0 - correlation) * np.bincount(plan.targets, (plan.weights * noise[plan.rows]) ** 2)
        + correlation * plan.sum(noise) ** 2
    )
    others = tuple(c for c in o.components if c.cause != "retrieval noise")
    causes = [*components(plan, others), Component.independent("retrieval noise", retrieval)]
    if transport > 0.0:
        causes.append(Component.independent("transport", np.full(plan.size, float(transport))))
    shown = f"{what}: r = {correlation:g}, σ_t = {transport:g} {o.unit}, weights {weights}"
    return together(plan, o if cells is None else o.replace(corners=cells), {
        "components": tuple(causes), "vertical": columns(plan, o.vertical, tolerance),
        "steps": (*o.steps, Step(shown, plan.size, (*dropped, ("united with others", united)))),
        "extra": {"pixels": p.astype(float), "effective_pixels": 1.0 / np.bincount(plan.targets, plan.weights**2)},
    })  # fmt: skip


def _check(correlation: float, transport: float, weights: str, o: Observations) -> None:
    if not 0.0 <= correlation <= 1.0 or not transport >= 0.0 or weights not in WEIGHTS:
        raise TanhengError(
            "options of super-observations are out of range", got=f"r {correlation}, σ_t {transport}, {weights}",
            expected=f"0 ≤ r ≤ 1, σ_t ≥ 0, weights {', '.join(WEIGHTS)}", remedy="correct the option",
        )  # fmt: skip
    noise = [c for c in o.components if c.cause == "retrieval noise"]
    if not noise or any((c.groups != "").any() for c in noise) or not (o.component("retrieval noise") > 0.0).all():
        raise TanhengError(
            "super-observations need the retrieval noise of every pixel", got=", ".join(c.cause for c in o.components),
            expected="a component `retrieval noise` > 0 without groups", remedy="state it in the rules of the mismatch",
        )  # fmt: skip


def _overlap(o: Observations, west: np.ndarray, south: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """(n,) area of each pixel inside its cell, in equal-area terms of the pixel's latitude."""
    if o.corners is None or not np.isfinite(o.corners).all():
        raise TanhengError("weights by overlap need the corners of every pixel", got="no corners",
                           expected="corners (n, 4, 2)", remedy="use equal weights or inverse variance")  # fmt: skip
    # Relative to the cell's corner, so that pixels and cells at the date line have coordinates in one piece.
    ring = o.corners.copy()
    ring[..., 0] = (ring[..., 0] - (west + 0.5 * size[0])[:, None] + 180.0) % 360.0 - 180.0 + 0.5 * size[0]
    ring[..., 1] -= south[:, None]
    pixels = shapely.convex_hull(shapely.polygons(ring))
    share = shapely.area(shapely.intersection(pixels, shapely.box(0.0, 0.0, *size))) * np.cos(np.deg2rad(o.lat))
    # A centre that lies outside its own corners would weigh nothing: such corners are wrong.
    if not (share > 0.0).all():
        row = int(np.flatnonzero(~(share > 0.0))[0])
        raise TanhengError("a pixel lies elsewhere than its corners", got=f"{o.lon[row]:g}, {o.lat[row]:g}: "
                           f"{o.corners[row].tolist()}", expected="corners around the centre",
                           remedy="check the columns of the file, or use equal weights")  # fmt: skip
    return share
