"""Thin adapters from the teaching protocols onto the rooms."""
