"""How fast the laboratory is, as ratios to peers that are timed side by side: `python -m benchmarks`."""
