"""
Every real client, set up through a mirror as its users write it.

Owns the clients' configuration, state and daemons.  Each pull gives back the
digest that the client itself says it got.
"""

from .containerd import Containerd, Host
from .containers import Containers
from .curl import Answer, Curl
from .docker import Docker
from .seat import Seat

__all__ = ["Answer", "Containerd", "Containers", "Curl", "Docker", "Host", "Seat"]
