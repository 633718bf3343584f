"""Readings from files: tables of many shapes in, cumulative registers out."""
