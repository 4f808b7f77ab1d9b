"""Checks of how this site reaches registries and the network."""

from __future__ import annotations

from cudaforge.codes import Code
from cudaforge.doctor.model import Judgement, good, listed, problem, skipped, warning
from cudaforge.doctor.situation import Situation
from cudaforge.packages.addresses import redact


def logins(seen: Situation) -> Judgement:
    """Docker's configuration can be used, and has a login for where images go."""
    found = seen.logins
    login = seen.engine.words.login
    if found.error is not None:
        return problem(f"{found.file}: {found.error}", f"mend it, or move it away and log in again: {login}")
    if found.missing_helpers:
        return problem(
            f"{found.file} names {listed(found.missing_helpers)}, which is not installed: logins are not "
            "found, and every pull of a base may fail",
            f"install it, or remove credsStore and credHelpers from {found.file} and log in again: {login}",
            code=Code.CREDENTIAL_HELPER_MISSING,
        )
    without = [one for one in seen.registries if one not in found.known]
    if without and not found.has_store:
        return warning(
            f"no login for {listed(without)}, where the declaration's images belong",
            "; ".join(f"{login} {one}" for one in without),
            code=Code.LOGIN_MISSING,
        )
    if found.is_readable_by_others:
        return warning(f"others may read the passwords in {found.file}", f"chmod 600 {found.file}")
    if found.file is None:
        return skipped("Docker has no configuration here: no login is set")
    if found.has_store:
        return good(f"in the credential store that {found.file} names")
    return good(listed(sorted(found.known)) if found.known else f"none in {found.file}, and none is needed")


def proxy(seen: Situation) -> Judgement:
    """Proxies answer, and the engine knows them, too."""
    network = seen.network
    if network.problem is not None:
        return problem(network.problem.what, network.problem.remedy or "correct the setting that is named")
    proxies = {} if network.site is None else network.site.proxies
    named = {name: value for name, value in proxies.items() if name != "NO_PROXY"}
    if network.silent_proxies:
        addresses = listed(network.silent_proxies)
        return problem(
            f"no proxy answers at {addresses}",
            f"correct or remove {' and '.join(sorted(named))}",
            code=Code.PROXY_UNREACHABLE,
        )
    info = seen.engine.info
    has_own = bool(info.get("HttpsProxy") or info.get("HTTPSProxy") or info.get("HttpProxy"))
    if not named:
        return good("none is set" + (", but the engine has one of its own" if has_own else ""))
    text = ", ".join(f"{name}={redact(value)}" for name, value in sorted(named.items()))
    if seen.engine.trouble is None and not has_own:
        remedy = seen.engine.words.proxy
        return warning(f"{text}; the engine has none, and pulls base images without it", remedy)
    return good(text)


def certificates(seen: Situation) -> Judgement:
    """The site's CA bundle can be read."""
    site = seen.network.site
    if site is None:
        return skipped("the site's settings cannot be used")
    if site.ca_bundle is None:
        return good("the system's own")
    origin = site.origin("ca_bundle")
    if seen.network.certificates is not None:
        return problem(
            f"{site.ca_bundle} (by {origin}): {seen.network.certificates}",
            "name a PEM file with the site's certificates: ca_bundle under [network], or SSL_CERT_FILE",
            code=Code.CERTIFICATES_BROKEN,
        )
    return good(f"{site.ca_bundle} (by {origin})")
