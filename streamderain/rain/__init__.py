"""Rain synthesis, for pictures and for video. NumPy and OpenCV only."""
