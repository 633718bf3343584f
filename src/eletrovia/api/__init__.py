"""The HTTP face of one operator."""
