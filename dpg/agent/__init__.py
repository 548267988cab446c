"""What an agent is: networks, a Gaussian head, running normalisers, and snapshots of them."""
