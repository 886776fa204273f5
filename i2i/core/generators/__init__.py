"""Generators: networks from an image to an image."""
