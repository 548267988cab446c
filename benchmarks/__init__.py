"""The speed of the laboratory, as ratios to peers timed alongside it: `python -m benchmarks`."""
