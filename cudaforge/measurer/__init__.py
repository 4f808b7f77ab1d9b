"""Reading out of an artefact itself what it was built with and what it runs on, without a GPU.

    from cudaforge.measurer import measure_wheel
    measured = measure_wheel(RemoteFile(client, url), "torch-2.8.0-...whl", limits=Limits())

`measured` has each value with the place that it was read from; `compare` holds it against a row.
"""

from cudaforge.measurer.model import EVERYTHING, NONE, LibraryCode, Limits, Measured, Reading
from cudaforge.measurer.readable import LocalFile, Malformed, OpenFile, Readable
from cudaforge.measurer.wheel import measure_wheel

__all__ = [
    "EVERYTHING",
    "NONE",
    "LibraryCode",
    "Limits",
    "LocalFile",
    "Malformed",
    "Measured",
    "OpenFile",
    "Readable",
    "Reading",
    "measure_wheel",
]
