"""A laboratory for deep policy gradient methods.

An agent acts in an env and leaves streams; it is learning from them; probes measure it; a report shows it; the runtime
does the work. A wing imports only from wings below it (docs/architecture.md). Notebooks start from `dpg.api`.
"""
