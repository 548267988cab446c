"""Agents that other libraries trained, read as snapshots. No code of a file is ever run."""
