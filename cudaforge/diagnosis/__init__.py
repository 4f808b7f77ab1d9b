"""What an error message means: causes and remedies from text alone, with codes of the one vocabulary.

The patterns are data (`matrices/errors/*.toml`). Text that no pattern knows has no cause: nothing is guessed.
What the facts of the matrix decide besides is `cudaforge.explainer`'s.
"""

from __future__ import annotations

from cudaforge.diagnosis.decide import causes_of, decided
from cudaforge.diagnosis.model import Cause, Diagnosis
from cudaforge.diagnosis.scan import diagnose, diagnose_stream

__all__ = ["Cause", "Diagnosis", "causes_of", "decided", "diagnose", "diagnose_stream"]
