"""One thin module for each DVC stage: read inputs, call dpg, write outputs, log the run."""
