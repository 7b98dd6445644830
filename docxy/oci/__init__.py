"""
The language that registries and their clients speak, without any I/O.

Only the standard library is imported below this package: no clock, no
socket, no Twisted.
"""
