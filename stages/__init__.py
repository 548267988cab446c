"""One thin module a DVC stage: read inputs, call dpg, write outputs, log the run."""
