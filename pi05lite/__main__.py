"""`python -m pi05lite` is `pi05lite`."""

import sys

from pi05lite.cli import main

sys.exit(main())
