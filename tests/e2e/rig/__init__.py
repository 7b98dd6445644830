"""
A Docker Hub of real parts, its clients and a docxy between them, for the end-to-end tests.

Owns every process, network namespace and file that these tests need.  Knows
docxy only by its command line and its settings file.
"""
