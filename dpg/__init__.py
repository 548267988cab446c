"""A laboratory for deep policy gradient methods.

An agent acts in an env and leaves streams; it is learning from them; probes measure it; a report shows it; the runtime
carries the work. A wing imports only from wings below it (see README, layers). `dpg.api` is the way in for notebooks.
"""
