"""Outwards: connections, redirects, tokens and bodies of upstreams."""
