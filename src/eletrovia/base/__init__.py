"""Ground floor: errors, time, chance, ids, money. Imports nothing of ours."""
