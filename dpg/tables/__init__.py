"""The tables of an experiment, each declared once as a row type with units: `dpg.tables.table` says how."""
