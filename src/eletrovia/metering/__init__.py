"""Smart meters: readings, tariffs, invoices, alerts."""
