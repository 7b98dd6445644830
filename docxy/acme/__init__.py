"""Certificates that docxy obtains by itself (RFC 8555): the account, the orders, the proofs, the renewals."""
