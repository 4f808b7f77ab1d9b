"""Dockerfiles that an audit mended build on the real engine, and the broken ones do not, or not as meant.

The bases are made from the OS archive and carry the names that the Dockerfiles give, as no registry is asked.
"""

from __future__ import annotations
