"""The other operators: who they are, the client and the server half of what we say to each other."""
