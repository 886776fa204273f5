"""The data sets that ship with i2i."""
