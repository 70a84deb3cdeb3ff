"""O: points, columns with averaging kernels and paths, as sums of model cells."""

from transport.sampling.pixels import pixel_points
from transport.sampling.receptors import Combined, Receptor, path_average
from transport.sampling.sampler import Sampler, Visits
from transport.sampling.vertical import column_weights, height_weights, point_weights, pressure_weights

__all__ = [
    "Combined", "Receptor", "Sampler", "Visits", "column_weights", "height_weights", "path_average",
    "pixel_points", "point_weights", "pressure_weights",
]  # fmt: skip
