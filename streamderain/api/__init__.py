"""In-process use: arrays in, arrays out, and sources that give clean frames."""
