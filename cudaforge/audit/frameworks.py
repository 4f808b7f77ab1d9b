"""Which frameworks the image has in the end: installations in their order, each resolved as pip would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from packaging.specifiers import SpecifierSet

from cudaforge.audit.choice import Question, Why, choose, is_pinned
from cudaforge.audit.conda_choice import CondaOutcome, as_build, choose_conda
from cudaforge.audit.model import Asked
from cudaforge.audit.names import (
    companions_by_name,
    find_distribution,
    frameworks_by_name,
    normal,
    other_names,
)
from cudaforge.audit.outcome import Clash, Failure, Installed, Outcome, Swap
from cudaforge.audit.state import Image, Install
from cudaforge.matrix.companion import Companion
from cudaforge.matrix.sources import Strength
from cudaforge.matrix.tables import Matrix
from cudaforge.versions import Version, find_version


def settle(image: Image, asked: Asked, matrix: Matrix) -> Outcome:
    """Resolve every installation, in order."""
    return _Settling(image, asked, matrix).run()


class _Settling:
    """Follows the installations of one image."""

    def __init__(self, image: Image, asked: Asked, matrix: Matrix) -> None:
        self._image, self._asked, self._matrix = image, asked, matrix
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Resolve all of them."""
        self._from_base()
        for group in _commands(self._image.installs):
            self._command(group)
        self._add_plugins()
        return self._outcome

    def _from_base(self) -> None:
        base = self._image.base
        if base is None:
            return
        names = frameworks_by_name(self._matrix)
        for package, text in base.contents.items():
            framework = names.get(normal(package))
            version = _version(text)
            if framework is None or version is None:
                continue
            self._outcome.installed[framework] = Installed(
                framework=framework,
                version=version,
                build=None,
                install=None,
                python=self._image.programs.get("python3"),
            )

    def _question(self, install: Install) -> Question:
        base = self._image.base
        return Question(
            platform=self._asked.platform,
            as_of=self._asked.as_of,
            python=install.python.minor,
            systems=base.systems if base is not None else (),
            is_musl=base.is_musl if base is not None else False,
        )

    def _command(self, group: Sequence[Install]) -> None:
        names = frameworks_by_name(self._matrix)
        companions = companions_by_name(self._matrix)
        asked = [one for one in group if self._framework_of(one, names) and not one.is_constraint]
        limits = [one for one in group if one.is_constraint]
        beside = [
            one for one in group if normal(one.requirement.name) in companions and not one.is_constraint
        ]
        for install in asked:
            framework = self._framework_of(install, names)
            if framework is not None and install.conda is not None:
                self._by_conda(framework, install)
            elif framework is not None:
                self._install(framework, _limited(install, limits), beside)
        for install in beside:
            self._companion(companions[normal(install.requirement.name)], _limited(install, limits), asked)

    def _framework_of(self, install: Install, names: Mapping[str, str]) -> str | None:
        name = normal(install.requirement.name)
        if name in names:
            return names[name]
        row = find_distribution(self._matrix, name)
        return row.framework if row is not None and row.replaced_by is not None else None

    def _install(self, framework: str, install: Install, beside: Sequence[Install]) -> None:
        if not self._applies(install):
            return
        before = self._outcome.installed.get(framework)
        if before is not None and not install.upgrades and _same_python(before, install):
            spec: SpecifierSet = install.requirement.specifier
            if spec.contains(before.version.text, prereleases=True) and not _renames(install, before):
                return
        needs = [
            row.needs
            for one in beside
            if is_pinned(one) and not one.no_deps and (row := self._row(framework, one)) is not None
        ]
        choice = choose(
            self._matrix,
            framework,
            install,
            self._question(install),
            needs=() if is_pinned(install) else needs,
        )
        if choice.missing_extra is not None:
            self._outcome.extras.append((install, choice))
        if choice.build is None or choice.version is None:
            self._outcome.failures.append(Failure(framework=framework, install=install, choice=choice))
            self._outcome.unresolved.add(framework)
            return
        self._put(
            Installed(
                framework=framework,
                version=choice.version,
                build=choice.build,
                install=install,
                python=install.python,
                is_pinned=is_pinned(install),
            ),
            install,
        )

    def _by_conda(self, framework: str, install: Install) -> None:
        choice = choose_conda(
            self._matrix, framework, install, platform=self._asked.platform, as_of=self._asked.as_of
        )
        self._outcome.conda.append(CondaOutcome(install=install, choice=choice))
        if choice.version is None:
            self._outcome.unresolved.add(framework)
            return
        build = as_build(choice.row, choice.version, install) if choice.row is not None else None
        self._put(
            Installed(
                framework=framework,
                version=choice.version,
                build=build,
                install=install,
                python=install.python,
                is_pinned=is_pinned(install),
            ),
            install,
        )

    def _applies(self, install: Install) -> bool:
        marker = install.requirement.marker
        if marker is None:
            return True
        machine = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}.get(self._asked.platform, "x86_64")
        python = install.python.minor or "3.11"
        return bool(
            marker.evaluate(
                {
                    "platform_machine": machine,
                    "sys_platform": "linux",
                    "platform_system": "Linux",
                    "os_name": "posix",
                    "python_version": python,
                    "python_full_version": f"{python}.0",
                    "implementation_name": "cpython",
                    "platform_python_implementation": "CPython",
                    "extra": "",
                }
            )
        )

    def _put(self, installed: Installed, by: Install) -> None:
        before = self._outcome.installed.get(installed.framework)
        if before is not None and (before.version, before.build) != (installed.version, installed.build):
            self._outcome.swaps.append(Swap(before=before, after=installed, by=by))
        self._outcome.installed[installed.framework] = installed
        self._outcome.unresolved.discard(installed.framework)

    def _row(self, framework: str, install: Install) -> Companion | None:
        """The newest release of a companion that the requirement allows on that date."""
        name = normal(install.requirement.name)
        rows = [
            row
            for row in self._matrix.companions(framework)
            if row.package == name
            and (
                is_pinned(install)
                or install.requirement.specifier.contains(row.version.public().text, prereleases=True)
            )
            and (row.released is None or row.released <= self._asked.as_of)
            and (not row.pythons or install.python.minor is None or install.python.minor in row.pythons)
        ]
        if is_pinned(install):
            wanted = next(one.version for one in install.requirement.specifier).partition("+")[0]
            rows = [row for row in rows if row.version.public() == _version(wanted)]
        return rows[-1] if rows else None

    def _companion(self, framework: str, install: Install, asked: Sequence[Install]) -> None:
        if not self._applies(install):
            return
        row = self._row(framework, install)
        if row is None:
            if is_pinned(install):
                self._outcome.unknown_companions.append(install)
            return
        current = self._outcome.installed.get(framework)
        if framework in self._outcome.unresolved:
            return
        if current is None:
            if not install.no_deps:
                self._bring(framework, install, row)
            return
        version = current.version.public() if current.version.local else current.version
        if row.needs.allows(version) or not is_pinned(install):
            return  # of what is not pinned the installer goes back to a release that fits
        if row.source_only or (row.source.strength is not Strength.INDEX and current.install is None):
            # pip goes by the metadata alone, which ask for no release here: it compiles for what is there.
            self._outcome.unproven_companions.append((install, row))
            return
        is_same = _is_of_one_command(current, install, asked)
        if install.no_deps or is_same:
            self._outcome.clashes.append(
                Clash(row=row, install=install, framework=current, is_impossible=not install.no_deps)
            )
        else:
            self._bring(framework, install, row)

    def _bring(self, framework: str, install: Install, row: Companion) -> None:
        """The framework that an installer gets with a package that needs it."""
        from packaging.requirements import Requirement

        from cudaforge.records import replace

        if framework not in self._outcome.installed and install.after_unread:
            # What came before may have brought another release already, from another index.
            self._image.note_unknown(
                install.line,
                f"{install.requirement.name} needs {framework}: which release is there by then is not known",
            )
            self._outcome.unresolved.add(framework)
            return
        names = [name for name, one in frameworks_by_name(self._matrix).items() if one == framework]
        by_default = _default_name(self._matrix, framework, names)
        own = replace(install, requirement=Requirement(by_default))
        choice = choose(self._matrix, framework, own, self._question(own), needs=(row.needs,))
        if choice.build is None or choice.version is None:
            if choice.why not in (Why.INDEX, Why.BUILD):
                self._outcome.failures.append(Failure(framework=framework, install=own, choice=choice))
            self._outcome.unresolved.add(framework)
            return
        self._put(
            Installed(
                framework=framework,
                version=choice.version,
                build=choice.build,
                install=own,
                python=install.python,
                is_pinned=is_pinned(install),
                is_by_companion=install.requirement.name,
            ),
            install,
        )

    def _add_plugins(self) -> None:
        """A package that another build of the same release requires makes it that build."""
        for framework, installed in list(self._outcome.installed.items()):
            if installed.build is None:
                continue
            present = {
                normal(one.requirement.name)
                for one in self._image.installs
                if one.python is installed.python and not one.is_constraint
            }
            own = other_names(installed.build)
            for build in self._matrix.builds(framework):
                more = other_names(build) - own
                if build.version == installed.version and more and more <= present:
                    from cudaforge.records import replace

                    self._outcome.installed[framework] = replace(installed, build=build)


def _default_name(matrix: Matrix, framework: str, names: Sequence[str]) -> str:
    """The package that others require the framework by: the one that most builds are installed by."""
    from cudaforge.audit.names import main_name

    counts: dict[str, int] = {}
    for build in matrix.builds(framework):
        name = main_name(build)[0]
        counts[name] = counts.get(name, 0) + 1
    return max(names, key=lambda name: counts.get(name, 0))


def _limited(install: Install, limits: Sequence[Install]) -> Install:
    """The requirement within the constraints of the command."""
    from packaging.requirements import Requirement

    from cudaforge.records import replace

    own = [one for one in limits if normal(one.requirement.name) == normal(install.requirement.name)]
    if not own:
        return install
    spec = install.requirement.specifier
    for one in own:
        spec &= one.requirement.specifier
    extras = f"[{','.join(sorted(install.requirement.extras))}]" if install.requirement.extras else ""
    return replace(install, requirement=Requirement(f"{install.requirement.name}{extras}{spec}"))


def _commands(installs: Sequence[Install]) -> Iterator[list[Install]]:
    group: list[Install] = []
    for install in installs:
        if group and group[-1].command != install.command:
            yield group
            group = []
        group.append(install)
    if group:
        yield group


def _is_of_one_command(current: Installed, install: Install, asked: Sequence[Install]) -> bool:
    return current.install is not None and any(
        one.command == install.command == current.install.command for one in asked
    )


def _same_python(before: Installed, install: Install) -> bool:
    return before.python is install.python or before.python is None


def _renames(install: Install, before: Installed) -> bool:
    """Whether another package brings the framework now: `tensorflow-cpu` beside `tensorflow`."""
    if before.install is None:
        return False
    return normal(before.install.requirement.name) != normal(install.requirement.name)


def _version(text: str) -> Version | None:
    # `2.1.0a0+fe05266` of NVIDIA's images, and other spellings that carry letters.
    return find_version(text) or find_version(text.partition("+")[0])
