"""Readers of meteorology: files in, `Analysis` or `Weather` out; and the generated basin."""
