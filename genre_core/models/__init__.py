"""A network with all that its use needs, and its file."""
