"""Hit ratios of the policies on traces of real accesses, beside libCacheSim's and the optimum; no Ray, no server."""
