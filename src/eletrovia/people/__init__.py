"""People with an account: drivers and staff, their passwords and tokens."""
