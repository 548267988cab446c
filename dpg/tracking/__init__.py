"""The MLflow sink: what stages log. Only stages and commands use it; no computed number depends on it.

Runs go to `MLFLOW_TRACKING_URI` where it is set, otherwise to SQLite in the project (`mlflow.db`, artifacts in
`mlartifacts/`). An experiment in DVC's temporary copy logs to the original project, `DVC_ROOT`.
"""

import os

# MLflow reads these when it is imported. A server that is down should be noticed in seconds, before hours are spent.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
