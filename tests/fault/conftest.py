# SPDX-License-Identifier: Apache-2.0
"""The fixtures of tests/it serve here too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "it"))

from fixtures import fresh_berth  # noqa: E402, F401
