"""The runtime: parameters, seeds, shards and the workers that run them, caches, progress and outputs."""
