"""What this machine has, what is wrong with it, and what mends it."""
