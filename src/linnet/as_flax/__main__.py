"""``python -m linnet.as_flax program.py [args]``: run a program with Linnet for Flax."""

import sys

from linnet.as_flax.runner import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
