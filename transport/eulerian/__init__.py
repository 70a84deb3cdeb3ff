"""The Eulerian operator T: advection schemes (one file each), sweeps, steps.

Staggering: air and mole fractions live in cells, fluxes on faces. Index 0 is the ground, the south, the west; face i
lies before cell i. Air moved through faces is in mol, mole fractions in ppm, tracer in µmol.
"""

from transport.eulerian.operator import EulerianTransport as EulerianTransport
