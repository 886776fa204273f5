"""Transforms of a pair in training, applied in the recipe's order; all randomness comes from `rng`."""
