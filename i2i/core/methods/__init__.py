"""Built-in ways of training."""
