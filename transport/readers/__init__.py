"""Readers and generators of meteorology: each returns a `Meteorology`."""
