"""TLS both ways: the certificates we show, the listeners they serve, the servers we believe."""
