"""How do several processes train as one? Who was launched, where they meet, what they exchange."""
