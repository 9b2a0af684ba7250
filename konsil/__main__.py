"""`python -m konsil`: the same as the `konsil` command, for a source tree that is not installed."""

from konsil.cli import main

if __name__ == "__main__":
    main()
