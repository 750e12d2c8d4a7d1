"""How hypothesis works in these tests: no deadlines, since the machine may be busy."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "policy", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("policy")
