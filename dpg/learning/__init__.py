"""How agents learn: objectives, the value fit, PPO, TRPO, and the loop around them."""
