"""Proofs that run elsewhere: jobs for a cluster or another host, and reading back what they printed."""

from cudaforge.verifier.jobs.collecting import collect, find_nonces
from cudaforge.verifier.jobs.emitting import emit
from cudaforge.verifier.jobs.model import Form, Order, order_from_json, order_to_json

__all__ = [
    "Form",
    "Order",
    "collect",
    "emit",
    "find_nonces",
    "order_from_json",
    "order_to_json",
]
