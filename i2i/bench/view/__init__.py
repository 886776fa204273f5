"""How is the answer of a benchmark shown?"""
