"""
What the operator decided: from flags, environment and file to frozen values.

``values`` holds the shapes, ``forms`` the written form of single values,
``tables`` the closed lists of keys, ``upstreams`` and ``reader`` what belongs
together, ``sources`` where it all comes from.
"""
