"""The `dpg` command: what DVC and MLflow do not do for the laboratory themselves. One module for each command."""
