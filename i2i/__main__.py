"""`python -m i2i` is the command line."""

from i2i.cli import main

if __name__ == "__main__":
    main()
