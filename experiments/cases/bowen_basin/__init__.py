"""CH4 of the Bowen Basin coal field, Queensland (Open Methane test domain): WRF, a 12-sector prior, TROPOMI soundings.

    C = T(prior, inflow)        XCH4 = c + Σ_i h_i a_i (C_i − c)

on the cells of the WRF run. c is the mole fraction of the air that flows in; it stands for the a-priori profile, which
the data set does not hold, and for the air above the model's top. `forward` carries the prior, `inverse` estimates.
"""

from experiments.cases.bowen_basin.forward import assemble as simulate
from experiments.cases.bowen_basin.inverse import assemble

__all__ = ["assemble", "simulate"]
