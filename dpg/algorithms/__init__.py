"""The algorithms, a module each, found by being here. How one is written: `dpg.learning.algorithm`."""
