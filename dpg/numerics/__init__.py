"""Vectors and statistics."""
