"""The electric city: trips booked all or nothing, charging, metering."""
