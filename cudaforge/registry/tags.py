"""The tags of a repository: the content discovery of the OCI distribution protocol."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from cudaforge.errors import InputError, Problem
from cudaforge.references import TAG, Reference
from cudaforge.registry.mirrors import move, parse_or_refuse
from cudaforge.registry.session import Access, Session, json_object, nonsense
from cudaforge.registry.transport import Response, check_url

_PAGE = 1000
_MOST_PAGES = 500
_MOST_TAGS = 200_000
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[A-Za-z]+=(?:"[^"]*"|[^",;]*))*)')
_IS_NEXT = re.compile(r';\s*rel="?next"?\s*(?:;|$)', re.IGNORECASE)


def list_tags(repository: str, access: Access) -> tuple[str, ...]:
    """All tags of a repository (`docker.io/nvidia/cuda`), in the registry's order, page after page.

    Raises InputError for a malformed name or one with a tag, NegativeAnswer where there is no such
    repository, and SurroundingsError for all else.
    """
    wanted = move(_repository(repository), access.mirrors)
    session = Session(wanted, access)
    first = f"{session.base}/tags/list?n={_PAGE}"
    tags: dict[str, None] = {}
    seen: set[str] = set()
    url: str | None = first
    while url is not None:
        seen.add(url)
        response = session.ask("GET", url, accept="application/json", target="")
        tags.update(dict.fromkeys(_tags(response)))
        url = _next_page(response, asked=url, first=first)
        if url in seen or len(seen) >= _MOST_PAGES or len(tags) > _MOST_TAGS:
            raise nonsense(response, "pages of tags without end")
    return tuple(tags)


def _repository(text: str) -> Reference:
    parsed = parse_or_refuse(text)
    if parsed.digest is not None or ":" in text.rpartition("/")[2]:
        problem = Problem(what=f"{parsed} is an image, and a repository was asked for")
        raise InputError(problem)
    return parsed


def _tags(response: Response) -> tuple[str, ...]:
    found = json_object(response).get("tags", ())
    if found is None:  # how some registries write that there are none
        return ()
    if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
        raise nonsense(response, "no list of tags")
    return tuple(tag for tag in found if re.fullmatch(TAG, tag))


def _next_page(response: Response, *, asked: str, first: str) -> str | None:
    """Where the next page is. It must be of the same list: the token is for that alone."""
    for target, parameters in _LINK.findall(response.headers.get("link", "")):
        if _IS_NEXT.search(parameters):
            url: str = urljoin(asked, target)
            check_url(url)
            after, expected = urlsplit(url), urlsplit(first)
            if (after.scheme, after.netloc, after.path) != (expected.scheme, expected.netloc, expected.path):
                raise nonsense(response, "a next page of tags that is somewhere else")
            return url
    return None
