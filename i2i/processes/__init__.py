"""How do several processes train as one? Who was started beside whom, what they agree on, what they exchange."""
