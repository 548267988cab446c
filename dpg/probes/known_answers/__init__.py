"""What the probes should find on LinearQuadratic-v0, in closed form. Nothing here is estimated from samples."""
