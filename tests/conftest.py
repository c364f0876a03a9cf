"""How hypothesis tries examples: the same ones in each run, however slow the machine is.

To search anew: `pytest --hypothesis-profile=search`.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeat", settings.get_profile("search"), derandomize=True)
settings.load_profile("repeat")
