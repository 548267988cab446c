"""Parameter vectors, ratios and statistics, for NumPy and PyTorch."""
