"""PostgreSQL for alerts and their deliveries."""
