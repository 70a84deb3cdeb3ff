"""Fluxes before the observations: inventories, point sources, biosphere, boundary."""
