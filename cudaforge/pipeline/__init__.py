"""The stages strung together: what the command line and the Python API call.

`decide` is pure but for reading files; `locking` and `make` reach indexes, registries and the engine.
Nothing is imported here, so that a command loads only the stages that it needs.
"""
