# SPDX-License-Identifier: Apache-2.0
"""The fixtures are in fixtures.py, so that tests/fault can have them too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fixtures import berth, fresh_berth, registry, repo, shared_berth  # noqa: E402, F401
