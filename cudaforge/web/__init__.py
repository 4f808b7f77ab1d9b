"""Asking web servers politely: total deadlines, few retries, capped answers, checked redirects, a cache."""

from cudaforge.web.client import Answer, Client, Unreachable
from cudaforge.web.remote import RemoteFile

__all__ = ["Answer", "Client", "RemoteFile", "Unreachable"]
