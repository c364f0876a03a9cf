"""`python -m backends`: the HTTP backend."""

import sys

from backends.http.start import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
