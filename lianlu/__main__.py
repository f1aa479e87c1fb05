"""`python -m lianlu` is `lianlu`."""

from lianlu.cli import main

if __name__ == "__main__":
    main()
