"""What facts, locks and sites call the package indexes that are everywhere. Others are named by the facts."""

DEFAULT_INDEX = "default"
"""The site's own: the public one, where no other is configured."""
PROJECT_INDEX = "project"
"""The wheels that a project has as files."""
