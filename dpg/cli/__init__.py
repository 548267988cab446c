"""The `dpg` command: what DVC and MLflow do not do for the laboratory themselves. A module a command."""
