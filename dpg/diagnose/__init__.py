"""What may be wrong with one agent: checks of its behaviour, value net, gradients and updates, each with a rule."""
