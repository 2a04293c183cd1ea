"""Live cameras: what keeps them connected, and what joins them to the network and the writers."""
