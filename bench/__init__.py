"""Figures, each beside its yardstick; run with `make bench`."""
