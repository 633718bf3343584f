"""Where meters come in: datagrams, streams, and what both have in common."""
