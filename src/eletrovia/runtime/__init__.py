"""Configuration, and the wiring of one operator from it."""
