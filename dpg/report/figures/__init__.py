"""One module per kind of figure: tables in, a matplotlib figure out."""
