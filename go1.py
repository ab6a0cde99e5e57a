"""The front door: `python go1.py`, `python -m go1`, or the console script `go1`."""

import sys

from cli.main import main

if __name__ == "__main__":
    sys.exit(main())
