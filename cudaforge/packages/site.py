"""The site: where packages come from here, and how this network is reached.

A setting is looked for in the declaration's `[network]`, then in uv's variables and files, then in pip's;
where nobody says anything, uv's built-in default holds. A site stays out of locks and images.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem, SurroundingsError
from cudaforge.packages.addresses import is_loopback, is_proxy, is_remote, redact, without_name
from cudaforge.packages.configured import Setting, find_uv_setting, read_pip_settings, read_uv_keys
from cudaforge.quoting import UnsafeText, quote_shell
from cudaforge.records import made, record

CA_IN_BUILD = "/run/cudaforge/ca.crt"
SECRET_LIMIT = 500 * 1024
"""BuildKit refuses larger secrets."""

_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
_CA_READERS = (*_CA_VARIABLES, "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_MIRROR_VARIABLE = "UV_PYTHON_INSTALL_MIRROR"
_NOWHERE = "http://cudaforge-offline.invalid:9"
"""`.invalid` is never a host's name (RFC 2606)."""
_LARGEST_BUNDLE = 16 * 1024 * 1024


@record()
class Site:
    """Where packages come from at this site, and how its network is reached.

    None and empty mean that uv's own configuration, or its built-in default, holds. `origins` names the
    variable, file or key that a field comes from, for messages.
    """

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    index_strategy: str | None = None
    no_index: bool = False
    """Whether `find_links` are all there is."""
    named_indexes: Mapping[str, str]
    """Addresses that stand in for those of the indexes that the matrix names."""
    python_mirror: str | None = None
    """The address that stands in for that of standalone Pythons."""
    os_snapshots: Mapping[str, str] = made(default_factory=dict)
    """Addresses that stand in for those of the snapshot services that the matrix names."""
    ca_bundle: Path | None = None
    proxies: Mapping[str, str]
    """By variable: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`."""
    registries: Mapping[str, str]
    """Mirror map of image registries."""
    offline: bool = False
    origins: Mapping[str, str]

    def origin(self, field: str) -> str:
        """What the field was set by, in words."""
        return self.origins.get(field, "uv's configuration, or its built-in default")

    @property
    def needs_host_network(self) -> bool:
        """Whether an address is one of this machine, so that build steps need its network."""
        addresses = (self.index_url or "", *self.extra_index_urls, *self.find_links)
        return any(is_loopback(without_name(one)) for one in (*addresses, *self.proxies.values()))

    def environment(self) -> dict[str, str]:
        """Variables that make uv on this machine see the site."""
        variables = dict(_both_spellings(self.proxies))
        if self.ca_bundle is not None:
            variables["SSL_CERT_FILE"] = str(self.ca_bundle)
        if self.index_url is not None:
            variables |= {"UV_DEFAULT_INDEX": self.index_url, "UV_INDEX_URL": self.index_url}
        if self.extra_index_urls:
            variables |= {"UV_INDEX": " ".join(self.extra_index_urls), "UV_EXTRA_INDEX_URL": ""}
        if self.find_links:
            variables["UV_FIND_LINKS"] = ",".join(self.find_links)
        if self.index_strategy is not None:
            variables["UV_INDEX_STRATEGY"] = self.index_strategy
        return variables

    def find_snapshot_mirror(self, service: str) -> str | None:
        """This site's own address of a snapshot service; None where the public one serves."""
        return self.os_snapshots.get(service)

    def snapshot_address(self, service: str, public: str) -> str:
        """Where this site has a snapshot service: its own address of it, or the public one."""
        return self.find_snapshot_mirror(service) or public

    def build_secrets(self) -> tuple[str, Path | None]:
        """What the site's build secrets hold: a shell file of `export` lines, and the CA bundle if any.

        Offline they keep every step that reads them from the network. Indexes that only this machine's
        files hold are left out: a build step cannot reach them. Raises SurroundingsError where a value fits
        no shell line or the bundle no secret.
        """
        lines = [self._export(name, value) for name, value in self._build_variables()]
        if self.ca_bundle is not None and self.ca_bundle.stat().st_size > SECRET_LIMIT:
            raise SurroundingsError(
                Problem(
                    what=f"the CA bundle {self.ca_bundle} is larger than a build secret may be (500 KiB)",
                    because=(f"it was named by {self.origin('ca_bundle')}",),
                    remedy="name a bundle with the certificates that this network needs",
                )
            )
        return "".join(lines), self.ca_bundle

    def _export(self, name: str, value: str) -> str:
        try:
            return f"export {name}={quote_shell(value)}\n"
        except UnsafeText as error:
            raise SurroundingsError(
                Problem(what=f"{name} of this site fits no build step", because=(str(error),))
            ) from None

    def _build_variables(self) -> Iterator[tuple[str, str]]:
        if self.offline:
            # Not BuildKit's own `--network none`: with it no step is found in the cache any more.
            yield "UV_OFFLINE", "1"
            yield from _both_spellings(dict.fromkeys(_PROXY_VARIABLES, _NOWHERE))
            return
        yield from _both_spellings(self.proxies)
        if self.ca_bundle is not None:
            yield from ((name, CA_IN_BUILD) for name in _CA_READERS)
        index = without_name(self.index_url or "")
        if is_remote(index):
            yield from ((name, index) for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"))
        extra = " ".join(url for one in self.extra_index_urls if is_remote(url := without_name(one)))
        if extra:
            yield from ((name, extra) for name in ("PIP_EXTRA_INDEX_URL", "UV_INDEX"))
        links = tuple(one for one in self.find_links if is_remote(one))
        if links:
            yield from (("PIP_FIND_LINKS", " ".join(links)), ("UV_FIND_LINKS", ",".join(links)))


@record()
class DeclaredNetwork:
    """What a declaration's `[network]` and `[registries]` say of the site, as plain values."""

    ca_bundle: Path | None = None
    http_proxy: str | None = None
    https_proxy: str | None = None
    no_proxy: str | None = None
    index: str | None = None
    extra_indexes: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    indexes: Mapping[str, str]
    python_mirror: str | None = None
    os_snapshots: Mapping[str, str] = made(default_factory=dict)
    registries: Mapping[str, str]
    file: str | None = None
    """The declaration, for messages."""
    root: Path
    """What a relative `find_links` is relative to."""


def read_site(
    declared: DeclaredNetwork,
    *,
    environ: Mapping[str, str],
    offline: bool = False,
    prefix: Path | None = None,
) -> Site:
    """The site that this machine is configured for.

    Raises InputError for a wrong value in the declaration, and SurroundingsError for one in the
    environment; both name the key or variable.
    """
    pip = read_pip_settings(environ, prefix=prefix if prefix is not None else Path(sys.prefix))
    sources = _Sources(environ=environ, pip=pip, uv_keys=read_uv_keys(environ))
    settings = sources.settings(declared)
    certificates = _find_bundle(declared, environ, pip)
    proxies = dict(_find_proxies(declared, environ, pip))
    mirror = _find_python_mirror(declared, environ)
    origins = {field: setting.origin for field, setting in {**settings, **proxies}.items()}
    if mirror is not None:
        origins["python_mirror"] = mirror.origin
    if certificates is not None:
        origins["ca_bundle"] = certificates.origin
    return Site(
        index_url=settings["index_url"].value if "index_url" in settings else None,
        extra_index_urls=settings["extra_index_urls"].words if "extra_index_urls" in settings else (),
        find_links=_absolute_links(settings.get("find_links")),
        index_strategy=sources.strategy(settings),
        no_index="no_index" in settings and settings["no_index"].is_on,
        named_indexes=declared.indexes,
        python_mirror=mirror.value if mirror is not None else None,
        os_snapshots=declared.os_snapshots,
        ca_bundle=Path(certificates.value) if certificates is not None else None,
        proxies={name: setting.value for name, setting in proxies.items()},
        registries=declared.registries,
        offline=offline or environ.get("UV_OFFLINE", "").lower() in ("1", "true"),
        origins=origins,
    )


_UV_VARIABLES = {
    "index_url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra_index_urls": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find_links": ("UV_FIND_LINKS",),
    "no_index": ("UV_NO_INDEX",),
}
_OPTIONS = {
    "index_url": "index-url",
    "extra_index_urls": "extra-index-url",
    "find_links": "find-links",
    "no_index": "no-index",
}


@record()
class _Sources:
    environ: Mapping[str, str]
    pip: Mapping[str, Setting]
    uv_keys: frozenset[str]

    def settings(self, declared: DeclaredNetwork) -> dict[str, Setting]:
        """Each field by whoever comes first: `[network]`, uv's variables, uv's files, pip."""
        found = dict(_declared_settings(declared))
        for field, option in _OPTIONS.items():
            if field in found:
                continue
            variable = next((name for name in _UV_VARIABLES[field] if self.environ.get(name)), None)
            if variable is not None:
                value = self.environ[variable]
                separated = value.replace(",", " ") if field == "find_links" else value
                found[field] = Setting(value=separated, origin=variable)
            elif option not in self.uv_keys and option in self.pip:
                found[field] = self.pip[option]
        return found

    def strategy(self, settings: Mapping[str, Setting]) -> str | None:
        """How several indexes are read. pip takes the best version of all; indexes that come from its
        configuration were chosen with that in mind, while uv stops at the first that has the package."""
        if self.environ.get("UV_INDEX_STRATEGY") or "index-strategy" in self.uv_keys:
            return None
        extra = settings.get("extra_index_urls")
        return "unsafe-best-match" if extra is not None and extra == self.pip.get("extra-index-url") else None


def _declared_settings(declared: DeclaredNetwork) -> Iterator[tuple[str, Setting]]:
    if declared.index is not None:
        yield "index_url", Setting(value=declared.index, origin="network.index")
    if declared.extra_indexes:
        yield (
            "extra_index_urls",
            Setting(value=" ".join(declared.extra_indexes), origin="network.extra_indexes"),
        )
    if declared.find_links:
        links = (
            one if "://" in one else (declared.root / one).absolute().as_uri() for one in declared.find_links
        )
        yield "find_links", Setting(value=" ".join(links), origin="network.find_links")


def _find_python_mirror(declared: DeclaredNetwork, environ: Mapping[str, str]) -> Setting | None:
    if declared.python_mirror is not None:
        return Setting(value=declared.python_mirror, origin="network.python_mirror")
    if environ.get(_MIRROR_VARIABLE):
        return Setting(value=environ[_MIRROR_VARIABLE], origin=_MIRROR_VARIABLE)
    return find_uv_setting(environ, "python-install-mirror")


def _absolute_links(setting: Setting | None) -> tuple[str, ...]:
    """Directories as `file:` addresses: uv runs elsewhere, and a comma would part them."""
    words = setting.words if setting is not None else ()
    return tuple(one if "://" in one else Path(one).expanduser().absolute().as_uri() for one in words)


def _find_bundle(
    declared: DeclaredNetwork, environ: Mapping[str, str], pip: Mapping[str, Setting]
) -> Setting | None:
    if declared.ca_bundle is not None:
        return _check_bundle(
            Setting(value=str(declared.ca_bundle), origin="network.ca_bundle"), declared.file
        )
    for variable in _CA_VARIABLES:
        if environ.get(variable):
            return _check_bundle(Setting(value=environ[variable], origin=variable), None)
    if "cert" in pip:
        return _check_bundle(pip["cert"], None)
    system = next((path for path in _SYSTEM_BUNDLES if os.access(path, os.R_OK)), None)
    return Setting(value=system, origin="the system's own bundle") if system is not None else None


def _check_bundle(setting: Setting, file: str | None) -> Setting:
    path = Path(setting.value)
    because = None
    try:
        if not path.is_file():
            because = "there is no such file" if not path.exists() else "it is not a file"
        elif path.stat().st_size > _LARGEST_BUNDLE or b"-----BEGIN " not in path.read_bytes():
            because = "it holds no certificate in PEM form"
    except OSError as error:
        because = error.strerror or str(error)
    if because is None:
        return Setting(value=str(path.absolute()), origin=setting.origin)
    kind = InputError if setting.origin.startswith("network.") else SurroundingsError
    raise kind(
        Problem(
            what=f"{setting.origin} names the CA bundle {setting.value}, which cannot be used",
            where=Location(file=file, key=setting.origin) if file is not None else None,
            because=(because,),
            remedy=f"correct {setting.origin}",
        )
    )


def _find_proxies(
    declared: DeclaredNetwork, environ: Mapping[str, str], pip: Mapping[str, Setting]
) -> Iterator[tuple[str, Setting]]:
    written = {"HTTP_PROXY": declared.http_proxy, "HTTPS_PROXY": declared.https_proxy}
    for name in _PROXY_VARIABLES:
        address = written.get(name)
        if address is not None:
            setting: Setting | None = Setting(value=address, origin=f"network.{name.lower()}")
        else:
            setting = _from_environment(name, environ) or (pip.get("proxy") if name in written else None)
        if setting is not None:
            yield name, _check_proxy(setting, declared.file)
    if declared.no_proxy is not None:
        yield "NO_PROXY", Setting(value=declared.no_proxy, origin="network.no_proxy")
    elif (setting := _from_environment("NO_PROXY", environ)) is not None:
        yield "NO_PROXY", setting


def _from_environment(name: str, environ: Mapping[str, str]) -> Setting | None:
    """The lower-case spelling goes before the other, as with curl and Python."""
    for spelling in (name.lower(), name):
        if environ.get(spelling):
            return Setting(value=environ[spelling], origin=spelling)
    return None


def _check_proxy(setting: Setting, file: str | None) -> Setting:
    if is_proxy(setting.value):
        return setting
    is_declared = setting.origin.startswith("network.")
    kind = InputError if is_declared else SurroundingsError
    raise kind(
        Problem(
            what=f"{setting.origin} is no address of a proxy: {show(redact(setting.value))}",
            where=Location(file=file, key=setting.origin) if is_declared and file is not None else None,
            remedy=f'set {setting.origin} to an address such as "http://proxy.example:3128"',
        )
    )


def _both_spellings(proxies: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Programs differ in which spelling they read; some read the lower-case one of `http_proxy` alone."""
    for name, value in proxies.items():
        yield name, value
        yield name.lower(), value
