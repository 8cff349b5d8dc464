"""Glance's DB API on ROME and on SQL servers, side by side: `make bench`."""
