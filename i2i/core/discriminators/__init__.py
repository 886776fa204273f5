"""Discriminators: networks from an image to raw logits, one for each pixel, patch or image."""
