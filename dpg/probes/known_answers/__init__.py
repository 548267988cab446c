"""Known answers on LinearQuadratic-v0 in closed form, and checks of the probes against them."""
