"""Where the cells of a benchmark are trained."""
