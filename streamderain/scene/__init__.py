"""The test scene: a street on a wet day, drawn from nothing, seen by a camera across the road."""
