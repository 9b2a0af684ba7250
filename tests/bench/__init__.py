"""Measurements, run by `make bench`; nothing here passes or fails."""
