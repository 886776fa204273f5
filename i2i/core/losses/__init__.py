"""Losses: between two images, and between the two sides of the adversarial game."""
