"""What was measured, as one kind of thing whatever the file: readers, scales, selection, averaging, errors."""

from inversion.observations.component import CAUSES, Component
from inversion.observations.describe import describe
from inversion.observations.observations import KINDS, Observations, join
from inversion.observations.record import Source, Step
from inversion.observations.vertical import Vertical

__all__ = ["CAUSES", "KINDS", "Component", "Observations", "Source", "Step", "Vertical", "describe", "join"]
