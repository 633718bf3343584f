"""PostgreSQL for contracts and invoices."""
