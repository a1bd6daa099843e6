"""The gateway: the groups of a cache over HTTP and gRPC, for programs that are not Python. Needs `raycache[gateway]`."""
