"""What carries the work: parameters, seeds, shards, progress, outputs, tracking."""
