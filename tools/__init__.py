"""The makers' commands: train, evaluate, export, synthesize."""
