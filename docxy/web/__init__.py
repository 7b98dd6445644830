"""Inwards: the URL tree, its resources, and the relay to the client."""
