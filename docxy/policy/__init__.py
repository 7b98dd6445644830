"""
Decisions: may this be asked for, met, followed, believed?

Every module here is pure: settings and the registry's words go in, a value or
a refusal comes out, and what time it is arrives as an argument.
"""
