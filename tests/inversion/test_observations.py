import numpy as np
import pytest

from inversion.observations import Observations
from transport.errors import TanhengError


def observations(**changes):
    fields = {
        "values": np.array([400.0, 401.0]),
        "times": np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[s]"),
        "groups": np.array(["A", "B"]),
        "sigma": np.array([1.0, 2.0]),
        "unit": "ppm",
        "kinds": np.array(["tower", "tower"]),
    }
    return Observations(**{**fields, **changes})


def test_repr_tells_what_is_there():
    assert "2 values in ppm: A 1, B 1" in repr(observations())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"values": np.array([400.0, np.nan])}, "observed value is not finite"),
        ({"sigma": np.array([1.0, 0.0])}, "standard uncertainty is not positive"),
        ({"sigma": np.array([1.0, -3.0])}, "standard uncertainty is not positive"),
        ({"sigma": np.array([1.0, np.nan])}, "standard uncertainty is not positive"),
        ({"sigma": np.array([1.0])}, "sigma has the wrong length"),
        ({"values": np.array([])}, "wrong length"),
    ],
)
def test_bad_input_is_explained(changes, what):
    with pytest.raises(TanhengError, match=what) as error:
        observations(**changes)
    assert error.value.expected is not None and error.value.remedy is not None


def test_an_empty_selection_is_refused():
    kinds = {"values": float, "times": "datetime64[s]", "groups": str, "sigma": float, "kinds": str}
    empty = {name: np.array([], dtype=kind) for name, kind in kinds.items()}
    with pytest.raises(TanhengError, match="no observation is left"):
        observations(**empty)
