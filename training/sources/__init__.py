"""Reading exports: finding files, making them readable, and mapping their columns to the canonical tables."""
