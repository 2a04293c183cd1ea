"""The PyTorch networks, one file a family, and the blocks they share. Needs the extra ``torch``."""
