import numpy as np
import pytest

from priors import synthetic
from transport.errors import TanhengError
from transport.grid import Grid
from transport.levels import IsothermalHeights

GRID = Grid((np.arange(33) - 16) * 3e3, (np.arange(33) - 16) * 3e3, "+proj=laea +lat_0=40.8 +lon_0=111.7")


def test_area_emission_keeps_its_total():
    flux = synthetic.area_emission(GRID, 20.0, 3.0, 12e3)
    assert synthetic.megatonnes_per_year((flux * GRID.areas).sum()) == pytest.approx(23.0, rel=1e-12)


def test_activity_has_mean_one():
    assert synthetic.activity(np.arange(24) + 0.5).mean() == pytest.approx(1.0, rel=1e-12)


def test_a_stack_by_hand():
    # 1 Mt CO2 in 365 d: 1e9 kg / 44.0095e-3 kg mol-1 / 31 536 000 s = 720.52 mol s-1
    stack = synthetic.Stack("s", 0.0, 0.0, 1.0, 200.0)
    assert synthetic.stack_release(stack) == pytest.approx(720.52e6, rel=1e-4)


def test_injection_sums_to_one_and_sits_at_its_height():
    levels = IsothermalHeights(np.array([0.0, 100.0, 250.0, 350.0, 700.0]))
    profile = synthetic.injection_profile(levels, 300.0)
    assert profile.sum() == pytest.approx(1.0) and profile.argmax() == 2
    with pytest.raises(TanhengError, match="stack lies outside"):
        synthetic.injection_profile(levels, 900.0)
