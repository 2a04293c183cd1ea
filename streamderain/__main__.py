"""``python -m streamderain`` is the command ``streamderain``."""

import sys

from streamderain.cli import main

sys.exit(main())
