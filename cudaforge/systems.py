"""What is known of operating systems wherever they are spoken of."""

from __future__ import annotations

APT_FAMILIES = ("debian", "ubuntu")
"""Families of operating systems whose packages can be put into an image."""
