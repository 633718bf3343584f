"""PostgreSQL for customers, usage points and what is done to meters."""
