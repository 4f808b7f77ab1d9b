"""Built images to their registries: tags, pushing, indexes of several platforms, what goes with an image
(bill of materials, provenance), signatures."""

from cudaforge.publisher.model import Publication, PushedTag, publication_to_json

__all__ = ["Publication", "PushedTag", "publication_to_json"]
