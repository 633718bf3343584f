"""Nodes at the edge and in the fog."""
