"""The cache on Ray: the only part of raycache that imports it."""
