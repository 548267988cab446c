"""One module a kind of figure: tables in, a matplotlib figure out."""
