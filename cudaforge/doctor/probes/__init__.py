"""Programs that are run, and not imported."""
