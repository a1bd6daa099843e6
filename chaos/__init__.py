"""Chaos: several processes on several nodes use one cache while others are stopped and killed; `python -m chaos`."""
