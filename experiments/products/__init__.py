"""Products: maps, time series, intervals of the totals, and the NetCDF file of a solved case."""
