"""Which batches come, in which order?"""
