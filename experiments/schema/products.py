"""What is written."""

from dataclasses import dataclass


@dataclass
class Products:
    """What is written beside summary.json and manifest.json; the animation belongs to simulations."""

    figures: bool = True
    animation: bool = True
    netcdf: bool = True
    report: bool = True
