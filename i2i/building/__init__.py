"""How does a slot become a live component, and who is to blame when it fails?"""
