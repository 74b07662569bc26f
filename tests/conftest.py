"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# A slow machine fails no test: neither an example that takes long, nor a strategy that does.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("patient")
