"""Inference: rainy frames in, derained frames out."""
