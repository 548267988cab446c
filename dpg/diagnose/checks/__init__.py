"""The checks, by what they look at; `dpg.diagnose.catalog` lists them in order."""
