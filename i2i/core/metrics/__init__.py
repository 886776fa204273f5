"""Metrics: what a translation is worth, measured against the truth."""
