"""PostgreSQL for usage, marks and their roll-ups."""
