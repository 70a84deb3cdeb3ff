"""The field of another model, for a comparison of patterns."""

import numpy as np

from experiments.cases.bowen_basin import files
from experiments.cases.simulation import OtherModel
from transport.errors import TanhengError
from transport.units import require_unit

PPB = 1e3  # ppb per ppm


def cmaq_columns(path: str, air: np.ndarray, rows: slice, columns: slice) -> OtherModel:
    """Column means of the regression template of CMAQ, weighted with our dry air of the same 32 layers.

    Args:
        path: in the data set.
        air: (nt, nz, ny, nx) dry air of the run's hours, mol.
        rows, columns: cells of our grid that the template covers.

    Raises:
        TanhengError: another number of hours, layers or cells than the run's.
    """
    data = files.open_file(path, ("CH4",), decode_times=False)
    require_unit("CH4 of the CMAQ template", data.CH4.attrs.get("units"), "ppmV")
    states = data.CH4.values.astype(float)
    here = air[:, :, rows, columns]
    if states.shape != (here.shape[0] + 1, *here.shape[1:]):
        raise TanhengError(
            "the CMAQ template has another shape than the run", got=states.shape,
            expected=(here.shape[0] + 1, *here.shape[1:]), remedy="run the whole day with all layers",
        )  # fmt: skip
    means = 0.5 * (states[1:] + states[:-1])
    return OtherModel(
        name="CMAQ (Open Methane regression template)",
        column=PPB * np.sum(means * here, axis=1) / np.sum(here, axis=1),
        rows=rows,
        columns=columns,
        caveat="A comparison of patterns, not a validation: the file is a regression template of the Open Methane "
        "tests, with initial and boundary air of its own.",
    )
