"""Grids, meteorology and the operators T (sources -> air) and O (air -> samples)."""
