"""What a pipeline will cost, before anything runs."""
