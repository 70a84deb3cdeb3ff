"""The problem files of `benchmarks.inversion`: made with NumPy alone, so that every peer reads the same numbers.

All have the form y = H x + ε, ε ~ N(0, R), x ~ N(x_b, B): x are scaling factors of emissions, y mole fractions in ppb.
"""

import dataclasses

import numpy as np

CELL = 25.0  # km


def grid(cells: int) -> np.ndarray:
    """(cells, 2) centres of a nearly square grid in km, row by row."""
    columns = int(np.ceil(np.sqrt(cells)))
    at = np.arange(cells)
    return CELL * np.stack([at % columns, at // columns], axis=1).astype(float)


def separations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(len a, len b) distances."""
    return np.sqrt(np.maximum(((a[:, None] - b[None]) ** 2).sum(-1), 0.0))


def footprints(rng, points: np.ndarray, m: int) -> np.ndarray:
    """(m, n) smooth positive sensitivities, each wide about a place of its own, with row sums of about 10 ppb."""
    low, high = points.min(axis=0), points.max(axis=0)
    centre, width = rng.uniform(low, high + 1e-9, (m, 2)), rng.uniform(30.0, 150.0, m)
    H = np.exp(-separations(centre, points) / width[:, None])
    return 10.0 * H / H.sum(axis=1, keepdims=True)


def regions(cells: int, count: int) -> np.ndarray:
    """(count, cells): all cells, and the means of strips of them."""
    W = np.zeros((count, cells))
    W[0] = 1.0 / cells
    for row, part in enumerate(np.array_split(np.arange(cells), count - 1)):
        W[row + 1, part] = 1.0 / max(part.size, 1)
    return W


def dense(n: int, m: int, correlated: bool = False, seed: int = 0) -> dict[str, np.ndarray]:
    """Dense H and B; R is (m,) standard deviations, or with `correlated` an (m, m) covariance of five sites.

    Returns:
        H (m, n), x_b (n,), B (n, n), y (m,), R, W (20, n), truth (n,).
    """
    rng = np.random.default_rng(seed)
    points = grid(n)
    sigma = rng.uniform(0.3, 0.7, n)
    B = sigma[:, None] * np.exp(-separations(points, points) / 60.0) * sigma
    H, x_b = footprints(rng, points, m), np.ones(n)
    truth = x_b + np.linalg.cholesky(B) @ rng.normal(size=n)
    error = rng.uniform(0.5, 1.5, m)
    R = error
    noise = error * rng.normal(size=m)
    if correlated:
        site, time = np.arange(m) % 5, np.arange(m) // 5
        rho = np.exp(-np.abs(time[:, None] - time) / 6.0) * np.where(site[:, None] == site, 1.0, 0.3)
        R = 0.7 * error[:, None] * rho * error + 0.3 * np.diag(error**2)
        noise = np.linalg.cholesky(R) @ rng.normal(size=m)
    W = regions(n, 20)
    return {"H": H, "x_b": x_b, "B": B, "y": H @ truth + noise, "R": R, "W": W, "truth": truth}


def ou(n: int, scale: float) -> np.ndarray:
    """(n, n) exponential correlation in time, in days."""
    t = np.arange(n, dtype=float)
    return np.exp(-np.abs(t[:, None] - t) / scale)


@dataclasses.dataclass(frozen=True)
class Windowed:
    """Unknowns (days × cells), `per_day` observations a day that see the last `window` days; B = σ² (OU ⊗ exp).

    Args:
        values: (days, per_day, window · cells) sensitivities.
        starts: (days,) first element that the rows of a day see.
    """

    cells: int
    days: int
    values: np.ndarray
    starts: np.ndarray
    y: np.ndarray
    error: np.ndarray
    W: np.ndarray
    sigma: float = 0.5
    memory: float = 20.0  # days
    length: float = 100.0  # km

    @property
    def distance(self) -> np.ndarray:
        """(cells, cells) in km."""
        return separations(grid(self.cells), grid(self.cells))

    def matrix(self) -> np.ndarray:
        """H; for small ones."""
        days, per_day, width = self.values.shape
        H = np.zeros((days * per_day, self.days * self.cells))
        for day, start in enumerate(self.starts):
            H[day * per_day : (day + 1) * per_day, start : start + width] = self.values[day]
        return H

    def prior(self) -> np.ndarray:
        """B; for small ones."""
        return self.sigma**2 * np.kron(ou(self.days, self.memory), np.exp(-self.distance / self.length))

    def files(self) -> dict[str, np.ndarray]:
        """The same form as `dense`, for the dense reference."""
        return {"H": self.matrix(), "x_b": np.ones(self.days * self.cells), "B": self.prior(), "y": self.y,
                "R": self.error, "W": self.W}  # fmt: skip


def windowed(cells: int, days: int, per_day: int, window: int, seed: int = 0, totals: int = 10) -> Windowed:
    """A network over `days`: plumes drift away from their site and fade with their age."""
    rng = np.random.default_rng(seed)
    points, window = grid(cells), min(window, days)
    site = points[rng.choice(cells, per_day, replace=per_day > cells)]
    space = np.linalg.cholesky(np.exp(-separations(points, points) / 100.0))
    truth = np.linalg.cholesky(ou(days, 20.0)) @ rng.normal(size=(days, cells)) @ space.T
    truth = 1.0 + 0.5 * truth
    values = np.empty((days, per_day, window, cells))
    starts, y = np.maximum(np.arange(days) - window + 1, 0), np.empty((days, per_day))
    error = rng.uniform(0.5, 1.5, (days, per_day))
    for day in range(days):
        age = day - (starts[day] + np.arange(window))  # days; negative ones are not seen
        drift = rng.normal(scale=40.0, size=(per_day, 1, 2)) * np.maximum(age, 0)[None, :, None]
        away = separations((site[:, None] + drift).reshape(-1, 2), points).reshape(per_day, window, cells)
        width = 60.0 + 40.0 * np.maximum(age, 0)[None, :, None]
        plume = np.exp(-away / width) * np.where(age < 0, 0.0, np.exp(-age / 4.0))[None, :, None]
        values[day] = 10.0 * plume / plume.sum(axis=(1, 2), keepdims=True)
        seen = truth[starts[day] : starts[day] + window]
        y[day] = np.tensordot(values[day], seen, 2) + error[day] * rng.normal(size=per_day)
    W = np.concatenate([np.tile(row, days)[None] / days for row in regions(cells, totals)])
    return Windowed(cells, days, values.reshape(days, per_day, -1), starts * cells, y.ravel(), error.ravel(), W)


def basis(regions_: int, m: int, sites: int = 5, lognormal: bool = True, seed: int = 0) -> dict[str, np.ndarray]:
    """Basis regions for the samplers: independent priors of mean 1 and standard deviation 0.5, one error per site.

    Returns:
        H (m, n), y (m,), error (m,) known standard deviation, site (m,), extra (sites,) standard deviation that the
        hierarchical model must find, truth (n,), W (20, n).
    """
    rng = np.random.default_rng(seed)
    points = grid(regions_)
    H = 2.0 * footprints(rng, points, m)
    s = np.sqrt(np.log(1.25))
    truth = np.exp(s * rng.normal(size=regions_) - s**2 / 2) if lognormal else 1.0 + 0.5 * rng.normal(size=regions_)
    site, error, extra = np.arange(m) % sites, rng.uniform(0.3, 0.6, m), np.linspace(0.3, 1.2, sites)
    total = error if lognormal else np.hypot(error, extra[site])
    return {"H": H, "y": H @ truth + total * rng.normal(size=m), "error": error, "site": site, "extra": extra,
            "truth": truth, "W": regions(regions_, 20)}  # fmt: skip
