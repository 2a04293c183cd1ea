"""Long recordings, cut at key frames: cleaned piece by piece, joined without coding them again."""
