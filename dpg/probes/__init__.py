"""What is measured: snapshots in, tidy rows out."""
