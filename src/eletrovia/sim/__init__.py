"""Simulated worlds, over public protocols only."""
