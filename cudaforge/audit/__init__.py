"""Auditing Dockerfiles that cudaforge did not write: what is in the image, and what is wrong with it.

Facts come from the matrix, rules from the resolver; nothing is run, built or fetched.
"""

from cudaforge.audit.main import audit_dockerfile
from cudaforge.audit.model import Asked, Facts, Finding, Fix, Report, Severity, Silenced, Unknown, Verdict

__all__ = (
    "Asked",
    "Facts",
    "Finding",
    "Fix",
    "Report",
    "Severity",
    "Silenced",
    "Unknown",
    "Verdict",
    "audit_dockerfile",
)
