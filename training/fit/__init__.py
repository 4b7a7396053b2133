"""Fits: one file per model, a snapshot of the history in, a frozen and usable model out."""
