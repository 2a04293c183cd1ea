"""Takes the rain out of surveillance video, live and recorded."""

__version__ = "0.1.0"
