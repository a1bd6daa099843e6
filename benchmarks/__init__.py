"""Benchmarks: programs that measure raycache against its peers on the machine at hand; `python -m benchmarks`."""
