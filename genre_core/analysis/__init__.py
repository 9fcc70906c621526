"""What a model listens to, and whether it holds elsewhere."""
