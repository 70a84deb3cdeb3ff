"""Grids, meteorology and the operators T (sources -> air) and O (air -> samples)."""

from transport.platform import avoid_stalls

avoid_stalls()
