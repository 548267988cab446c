"""How agents learn: batches, objectives, the value fit, what an algorithm is, and the training loop."""
