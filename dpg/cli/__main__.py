"""`python -m dpg.cli` is `dpg`."""

from dpg.cli.app import main

main()
