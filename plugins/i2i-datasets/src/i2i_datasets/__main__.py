"""`python -m i2i_datasets`: see `command`."""

from i2i_datasets.command import main

if __name__ == "__main__":
    main()
