"""How is a page made that opens from disk?"""
