"""The search for a trip: roads, places, vehicles. Pure: no await, no store."""
