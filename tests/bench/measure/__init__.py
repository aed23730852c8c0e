# SPDX-License-Identifier: GPL-2.0-only
"""What scripts/bench measures with: see its --help."""
