"""Points inside the pixels of an imager."""

import numpy as np


def pixel_points(x: np.ndarray, y: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, p²), (n, p²) of the midpoint rule in quadrilaterals, bilinear between their corners.

    Args:
        x, y: (n, 4) corners in order round the pixel.
        points: p, per side.
    """
    s = (np.arange(points) + 0.5) / points
    u, w = (a.ravel()[:, None] for a in np.meshgrid(s, s))
    shape = np.concatenate([(1 - u) * (1 - w), u * (1 - w), u * w, (1 - u) * w], axis=1)
    return x @ shape.T, y @ shape.T
