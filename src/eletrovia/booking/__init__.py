"""One trip over several operators, booked all or nothing."""
