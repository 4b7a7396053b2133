"""Loading: what becomes of the rows of one file, from a checked stream to committed state."""
