"""The gateway: the groups of a cache over HTTP and gRPC, for programs in any language; needs `raycache[gateway]`."""
