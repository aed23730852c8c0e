# SPDX-License-Identifier: GPL-2.0-only
"""What scripts/soak is made of."""
