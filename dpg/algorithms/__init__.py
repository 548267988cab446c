"""The algorithms, one module each, found by its name. `dpg.learning.algorithm` says how to write one."""
