"""Properties hold however busy the machine is: no example has a deadline, and none is drawn too slowly."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("property", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("property")
