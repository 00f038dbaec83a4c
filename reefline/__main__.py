"""`python -m reefline` is `reefline`."""

from reefline.cli import main

if __name__ == "__main__":
    main()
