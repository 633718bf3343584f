"""Stations as OCPI names them: locations, EVSEs, connectors, tariffs, prices."""
