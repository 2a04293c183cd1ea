"""What each command of ``streamderain`` does; heavy imports wait until it needs them."""
