"""Filling a closure for a build: where this site has each wheel of the lock.

A lock names wheels and indexes, never addresses. Here each wheel is looked up again, by exact version, and
what is found has to be the locked file, by name and by SHA-256.
"""

from __future__ import annotations

import netrc
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from cudaforge.display import show
from cudaforge.errors import Location, NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import hash_file
from cudaforge.indexes import DEFAULT_INDEX, PROJECT_INDEX
from cudaforge.packages.addresses import (
    credentials_of,
    host_of,
    is_loopback,
    is_remote,
    quote_credentials,
    with_credentials,
    without_name,
)
from cudaforge.packages.machines import ARCHITECTURES, machine_marker
from cudaforge.packages.model import LockedWheel
from cudaforge.packages.question import Offer, Question, ask
from cudaforge.packages.site import SECRET_LIMIT, Site
from cudaforge.packages.tags import wheel_platforms
from cudaforge.packages.uv import NoSolution, python_tag_platform
from cudaforge.records import record

WHEELS_DIRECTORY = "wheels"
OTHER_FILE_REMEDY = "use the index that was locked from, or lock again: cudaforge upgrade"
_OTHER_OWN_REMEDY = "get it back, or lock again: cudaforge lock"
_ANY_GLIBC = "2.999"

WheelProvider = Callable[[LockedWheel], Path]
"""Finds a locked wheel, or the archive that it is built from, as a file of this machine."""
SourceProvider = Callable[[LockedWheel, str], Path]
"""Finds what a wheel is built from, given the address that this site has it at, as a file of this machine."""


@record()
class FilledClosure:
    """A closure with this site's addresses: the text of a build secret, since they may hold passwords."""

    pylock_text: str
    local_files: tuple[str, ...]
    """Names of the wheels that were put into the staging directory."""
    needs_host_network: bool
    """Whether an address is one of this machine, so that the build step needs its network."""


@record()
class Place:
    """Where this site has a file of a lock."""

    wheel: LockedWheel
    address: str
    """With the site's user and password, where it has some; of a commit, its repository."""
    path: Path | None
    """The file, if it is one of this machine."""


def find_places(
    wheels: Sequence[LockedWheel], *, python: str, indexes: Mapping[str, str], site: Site, own: Path
) -> tuple[Place, ...]:
    """Where each wheel, and what wheels are built from, is at this site. Raises as `fill_closure` does."""
    served = [wheel for wheel in wheels if wheel.index != PROJECT_INDEX and wheel.git is None]
    offers = _find(served, python=python, indexes=indexes, site=site) if served else {}
    offers |= _by_package(_own(wheel, own) for wheel in wheels if wheel.index == PROJECT_INDEX)
    credentials = _credentials(site)
    places = []
    for wheel in wheels:
        if wheel.git is not None:
            places.append(Place(wheel=wheel, address=wheel.git.url, path=None))
            continue
        offer = _match(wheel, offers)
        address = _whereabouts(wheel, offer, credentials).get("url", offer.address)
        places.append(Place(wheel=wheel, address=address, path=offer.path))
    return tuple(places)


def fill_closure(  # noqa: PLR0913 -- what a site has comes from as many places
    wheels: Sequence[LockedWheel],
    *,
    python: str,
    indexes: Mapping[str, str],
    site: Site,
    staging: Path,
    own: Path,
    find_source: SourceProvider,
    find_wheel: WheelProvider | None = None,
    remedy: str = OTHER_FILE_REMEDY,
) -> FilledClosure:
    """Find every wheel at this site, and put those that it has as files into `staging`. Those of the project
    lie in `own`. What is built goes there as the source that `find_source` gives, under its locked name.

    `indexes` has the public address of each index that the wheels name. With `find_wheel` no index is asked:
    it gives the file of each wheel that is not the project's. Raises NegativeAnswer where a file
    of that name is another one than the locked, with `remedy` for those that are not the project's;
    SurroundingsError where the site does not have it.
    """
    served = [wheel for wheel in wheels if wheel.index != PROJECT_INDEX and wheel.git is None]
    if find_wheel is not None:
        offers = _by_package(_file_offer(wheel, find_wheel(wheel)) for wheel in served)
    else:
        offers = _find(served, python=python, indexes=indexes, site=site) if served else {}
    offers |= _by_package(_own(wheel, own) for wheel in wheels if wheel.index == PROJECT_INDEX)
    credentials = _credentials(site)
    installed = [wheel for wheel in wheels if not wheel.is_built]
    chosen = [
        (wheel, _match(wheel, offers, remedy=remedy))
        for wheel in sorted(installed, key=lambda wheel: wheel.package)
    ]
    staging.mkdir(parents=True, exist_ok=True)
    local = tuple(_stage(wheel, path, staging) for wheel, offer in chosen if (path := offer.path) is not None)
    for wheel in wheels:
        if wheel.is_built:
            _stage(wheel, _source(wheel, offers, credentials, find_source, remedy=remedy), staging)
    text = _dump(chosen, python=python, credentials=credentials)
    if len(text.encode()) > SECRET_LIMIT:
        raise SurroundingsError(
            Problem(
                what=f"a closure of {len(wheels)} packages is larger than a build secret may be (500 KiB)"
            )
        )
    return FilledClosure(
        pylock_text=text,
        local_files=local,
        needs_host_network=any(is_loopback(offer.address) for _, offer in chosen),
    )


def _source(
    wheel: LockedWheel,
    offers: Mapping[str, Sequence[Offer]],
    credentials: Mapping[str, str],
    find_source: SourceProvider,
    *,
    remedy: str,
) -> Path:
    """The locked archive that a wheel is built from."""
    if wheel.git is not None:
        return find_source(wheel, wheel.git.url)
    offer = _match(wheel, offers, remedy=remedy)
    path = offer.path
    return path if path is not None else find_source(wheel, _whereabouts(wheel, offer, credentials)["url"])


def _own(wheel: LockedWheel, own: Path) -> Offer:
    """The project's wheel beside the lock. Raises NegativeAnswer where it is gone."""
    path = own / wheel.filename
    if not path.is_file():
        raise NegativeAnswer(
            Problem(
                what=f"the wheel {wheel.filename} beside the lock is gone",
                where=Location(file=str(path)),
                remedy="get it back, or lock again: cudaforge lock",
            )
        )
    return _file_offer(wheel, path)


def _file_offer(wheel: LockedWheel, path: Path) -> Offer:
    return Offer(
        package=wheel.package,
        version=wheel.version,
        filename=wheel.filename,
        address=path.resolve().as_uri(),
        sha256=None,
        size=None,
    )


def _find(
    wheels: Sequence[LockedWheel], *, python: str, indexes: Mapping[str, str], site: Site
) -> dict[str, list[Offer]]:
    """What this site has of the locked versions, by package."""
    tied = {wheel.package: wheel.index for wheel in wheels if wheel.index != DEFAULT_INDEX}
    ask_site = partial(_ask, python=python, sources={}, indexes={}, site=site)
    found = ask_site(wheels)
    if isinstance(found, NoSolution) and any(found.names(package) for package in tied):
        addresses = {name: site.named_indexes.get(name, url) for name, url in indexes.items()}
        unknown = sorted(set(tied.values()) - addresses.keys())
        if unknown:
            raise SurroundingsError(
                Problem(
                    what=f"no address is known for the package index {unknown[0]}",
                    remedy=f"name one in [network] indexes: {unknown[0]} = ...",
                )
            )
        ask_site = partial(_ask, python=python, sources=tied, indexes=addresses, site=site)
        found = ask_site(wheels)
    if isinstance(found, NoSolution):
        raise _missing(wheels, found)
    offers = _by_package(found)
    # Of one version uv names the files of one source: a directory that has it for one platform hides what
    # the index has for another.
    for platform, absent in _absent(wheels, offers).items():
        more = ask_site(absent, platform=platform)
        for offer in () if isinstance(more, NoSolution) else more:
            offers[offer.package].append(offer)
    return offers


def _absent(
    wheels: Sequence[LockedWheel], offers: Mapping[str, Sequence[Offer]]
) -> Mapping[str, Sequence[LockedWheel]]:
    """The wheels that are not among the offers of their version, by the platforms that they are for."""
    absent: dict[str, list[LockedWheel]] = {}
    for wheel in wheels:
        if not wheel.is_built and wheel.filename not in [
            one.filename for one in offers.get(wheel.package, ())
        ]:
            for platform in wheel_platforms(wheel.filename) & ARCHITECTURES.keys():
                absent.setdefault(platform, []).append(wheel)
    return absent


def _by_package(found: Iterable[Offer]) -> dict[str, list[Offer]]:
    offers: dict[str, list[Offer]] = {}
    for offer in found:
        offers.setdefault(offer.package, []).append(offer)
    return offers


def _ask(
    wheels: Sequence[LockedWheel],
    *,
    python: str,
    sources: Mapping[str, str],
    indexes: Mapping[str, str],
    site: Site,
    platform: str | None = None,
) -> tuple[Offer, ...] | NoSolution:
    """All files of exactly the locked versions: those for a platform, or whatever they are for."""
    target = "--universal"
    if platform is not None:
        target = f"--python-platform={python_tag_platform(platform, _ANY_GLIBC)}"
    return ask(
        Question(
            requirements=tuple(dict.fromkeys(f"{wheel.package}==={wheel.version}" for wheel in wheels)),
            python=python,
            sources=sources,
            indexes=indexes,
            from_source=tuple(wheel.package for wheel in wheels if wheel.is_built),
            options=(target, "--no-deps"),
        ),
        site=site,
    )


def _match(
    wheel: LockedWheel, offers: Mapping[str, Sequence[Offer]], *, remedy: str = OTHER_FILE_REMEDY
) -> Offer:
    """The offer that is the locked file."""
    named = [offer for offer in offers.get(wheel.package, ()) if offer.filename == wheel.filename]
    for offer in named:
        if _sha256(offer) == wheel.sha256:
            return offer
    if named:
        raise NegativeAnswer(
            Problem(
                what=f"{wheel.filename} is another file here than the one that was locked",
                because=(
                    f"locked: sha256 {wheel.sha256}",
                    f"{_place(named[0])} has: sha256 {_sha256(named[0])}",
                ),
                remedy=_OTHER_OWN_REMEDY if wheel.index == PROJECT_INDEX else remedy,
            )
        )
    raise SurroundingsError(
        Problem(
            what=f"{wheel.package} {wheel.version} is served here, but not as the locked {wheel.filename}",
            because=(f"the lock takes it from the index {show(wheel.index)}",),
            remedy="use an index that has this file, or lock again: cudaforge upgrade",
        )
    )


def _sha256(offer: Offer) -> str | None:
    path = offer.path
    return hash_file(path) if path is not None else offer.sha256


def _place(offer: Offer) -> str:
    return host_of(offer.address) if offer.path is None else str(offer.path)


def _missing(wheels: Sequence[LockedWheel], answer: NoSolution) -> SurroundingsError:
    absent = [wheel for wheel in wheels if answer.names(wheel.package)]
    named = ", ".join(f"{wheel.package} {wheel.version} (index {show(wheel.index)})" for wheel in absent)
    return SurroundingsError(
        Problem(
            what=f"the package indexes of this site do not have {named or 'all locked packages'}",
            because=answer.explanation,
            remedy="use an index that has them, or lock again: cudaforge upgrade",
        )
    )


def _stage(wheel: LockedWheel, path: Path, staging: Path) -> str:
    """Link or copy a checked file into the staging directory."""
    target = staging / wheel.filename
    part = staging / f"{wheel.filename}.part"
    try:
        part.unlink(missing_ok=True)
        try:
            os.link(path.resolve(), part)
        except OSError:
            shutil.copyfile(path, part)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SurroundingsError(
            Problem(
                what=f"cannot put a wheel beside the build: {error.strerror} (errno {error.errno})",
                where=Location(file=str(target)),
            )
        ) from None
    return wheel.filename


def _dump(chosen: Iterable[tuple[LockedWheel, Offer]], *, python: str, credentials: Mapping[str, str]) -> str:
    import tomli_w

    return tomli_w.dumps(
        {
            "lock-version": "1.0",
            "created-by": "cudaforge",
            "requires-python": f"=={python}.*",
            "packages": [
                {
                    "name": wheel.package,
                    "version": wheel.version,
                    **({"marker": machine_marker(wheel.platforms)} if wheel.platforms else {}),
                    "wheels": [
                        {**_whereabouts(wheel, offer, credentials), "hashes": {"sha256": wheel.sha256}}
                    ],
                }
                for wheel, offer in chosen
            ],
        }
    )


def _whereabouts(wheel: LockedWheel, offer: Offer, credentials: Mapping[str, str]) -> dict[str, str]:
    if offer.path is not None:
        return {"name": wheel.filename, "path": f"{WHEELS_DIRECTORY}/{wheel.filename}"}
    host = host_of(offer.address)
    known = credentials.get(host, credentials.get(host.rpartition(":")[0]))
    address = with_credentials(offer.address, known) if known is not None else offer.address
    return {"name": wheel.filename, "url": address}


def _credentials(site: Site) -> dict[str, str]:
    """Host (one of ~/.netrc without its port) to `user:password`.

    uv leaves them out of what it writes; the build step needs them back.
    """
    return {**dict(_netrc_credentials()), **dict(_address_credentials(site))}


def _address_credentials(site: Site) -> Iterator[tuple[str, str]]:
    for one in (*site.named_indexes.values(), *site.find_links, *site.extra_index_urls, site.index_url or ""):
        address = without_name(one)
        known = credentials_of(address) if is_remote(address) else None
        if known is not None:
            yield host_of(address), known


def _netrc_credentials() -> Iterator[tuple[str, str]]:
    try:
        hosts = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return
    for host, (user, _, password) in hosts.items():
        yield host, quote_credentials(user or "", password or "")
