"""The version of i2i, for those who need the number alone."""

__version__ = "0.1.0"
