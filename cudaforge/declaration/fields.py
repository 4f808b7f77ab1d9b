"""Every key that a declaration knows. Reading, suggestions and the JSON Schema all come from here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cudaforge.declaration import values
from cudaforge.declaration.addresses import ARCHIVE, FIND_LINKS, INDEX, INDEX_NAME, NO_PROXY, PROXY, REGISTRY
from cudaforge.declaration.environment import ENVIRONMENT
from cudaforge.declaration.kinds import (
    BOOL,
    STRING,
    VERSION,
    WISH,
    BadValue,
    Kind,
    bad,
    choice_kind,
    enum_kind,
    integer_kind,
    later_kind,
    list_kind,
    map_kind,
    mapped,
    text_kind,
)
from cudaforge.declaration.measures import DURATION, SIZE
from cudaforge.declaration.model import Flavor, Gate, GpuDemand, OnConflict, Preference
from cudaforge.declaration.tables import Field, any_field, table_kind
from cudaforge.display import show
from cudaforge.records import record
from cudaforge.references import REPOSITORY
from cudaforge.versions import VersionWish

_PLATFORMS = ("linux/amd64", "linux/arm64")
_STEPS_MAX = 100_000
_FREE_THREADED = re.compile(r"[0-9]t")


def _in_order(platforms: tuple[str, ...]) -> tuple[str, ...]:
    """The platforms of an image are a set: written in another order they mean the same."""
    if not platforms:
        bad("the list is empty", f"one of {', '.join(_PLATFORMS)}, or both")
    return tuple(sorted(platforms))


def _read_platform(value: object) -> str:
    text = STRING.read(value)
    if text not in _PLATFORMS:
        bad(f"platform {show(text)} is not supported yet", f"allowed: {', '.join(_PLATFORMS)}")
    return text


PLATFORM = Kind(read=_read_platform, schema={"type": "string", "enum": list(_PLATFORMS)})


def _with_gil(wish: VersionWish) -> VersionWish:
    if _FREE_THREADED.search(str(wish)):
        bad("free-threaded Python is not supported yet", 'leave the "t" out')
    return wish


@record()
class Preferences:
    """One policy for everything, or one per field."""

    overall: Preference | None
    per_field: Mapping[str, Preference]


def _read_preference(value: object) -> Preferences:
    if isinstance(value, Mapping):
        try:
            return Preferences(overall=None, per_field=_PER_FIELD.read(value))
        except BadValue as error:
            raise BadValue(*error.mistakes) from None  # what is left of a table is no Preferences
    return Preferences(overall=PREFERENCE.read(value), per_field={})


PREFERENCE = enum_kind(Preference)
_PER_FIELD = map_kind(
    choice_kind("framework", "build", "cuda", "cudnn", "python", "os", "base"),
    PREFERENCE,
    example='{ cuda = "stable" }',
)

FRAMEWORK = Field(
    name="framework",
    kind=values.FRAMEWORKS,
    doc='One framework, "pytorch>=2.6,<2.9", or a list of several that share the image.',
)
BUILD = Field(
    name="build", kind=values.WORD, doc='Framework build such as "cu128", when its version is a range.'
)
CUDA = Field(
    name="cuda",
    kind=values.CUDA,
    doc='The CUDA whose libraries are loaded: "12.8" is any 12.8.*; "none" asks for the CPU twin.',
)
CUDNN = Field(name="cudnn", kind=WISH, doc="The cuDNN whose libraries are loaded.")
PYTHON = Field(
    name="python",
    kind=mapped(WISH, _with_gil, {"pattern": f"^(?!.*[0-9]t)({WISH.schema['pattern']})"}),
    doc="The Python of the image.",
)
OS = Field(name="os", kind=values.OS, doc='The operating system, such as "ubuntu22.04".')
GPUS = Field(
    name="gpus",
    kind=list_kind(values.GPU, example='["H100", "sm_90"]'),
    doc='GPUs that the image must run on, by product ("RTX 4090") or compute capability ("sm_90").',
)
DRIVER = Field(name="driver", kind=VERSION, doc="The oldest NVIDIA driver in the fleet.")
FLAVOR = Field(name="flavor", kind=enum_kind(Flavor), doc="How much of CUDA the image carries.")
PLATFORMS = Field(
    name="platforms",
    kind=mapped(list_kind(PLATFORM, example='["linux/amd64"]'), _in_order, {"minItems": 1}),
    doc="The platforms of the image; it has to work on all of them.",
)
BASE = Field(
    name="base",
    kind=values.BASE,
    doc='The image to start from: "python:3.12-slim-bookworm", or "bootstrap:debian12".',
)
PYTHON_PROVIDER = Field(
    name="python_provider",
    kind=choice_kind("distro", "image", "standalone"),
    doc="Who brings Python: the OS archive, the base image, or an archive of its own.",
)
CUDA_PROVIDER = Field(
    name="cuda_provider",
    kind=choice_kind("wheels", "system"),
    doc="Who brings the CUDA libraries that are loaded: Python wheels or the base image.",
)
TOOLKIT = Field(name="toolkit", kind=WISH, doc="The CUDA toolkit of a devel image.")
PREFER = Field(
    name="prefer",
    kind=Kind(read=_read_preference, schema={"anyOf": [PREFERENCE.schema, _PER_FIELD.schema]}),
    doc='Which of several answers is best: one policy, or one per field as in { cuda = "stable" }.',
)
FORWARD_COMPAT = Field(
    name="forward_compat",
    kind=BOOL,
    doc="Whether a base brings CUDA's forward-compatibility package: older drivers, data-centre GPUs alone.",
)
REQUIRE_CUDA = Field(
    name="require_cuda",
    kind=enum_kind(Gate),
    doc="The base image's NVIDIA_REQUIRE_CUDA: kept, relaxed to the computed driver floor, or off.",
)
WISH_FIELDS: tuple[Field[object], ...] = (
    any_field(FRAMEWORK),
    any_field(BUILD),
    any_field(CUDA),
    any_field(CUDNN),
    any_field(PYTHON),
    any_field(OS),
    any_field(GPUS),
    any_field(DRIVER),
    any_field(FLAVOR),
    any_field(PLATFORMS),
    any_field(BASE),
    any_field(PYTHON_PROVIDER),
    any_field(CUDA_PROVIDER),
    any_field(TOOLKIT),
    any_field(PREFER),
    any_field(FORWARD_COMPAT),
    any_field(REQUIRE_CUDA),
)

PACKAGES = Field(
    name="packages",
    kind=list_kind(values.PACKAGE, example='["transformers>=4.44"]'),
    doc="Python packages, as PEP 508 requirements.",
)
REQUIREMENTS = Field(
    name="requirements",
    kind=values.REQUIREMENTS,
    doc="More packages: a requirements.txt, uv.lock, pylock.toml or project directory of the project.",
)
BUILD_FROM_SOURCE = Field(
    name="build_from_source",
    kind=list_kind(values.PACKAGE_NAME, example='["pyyaml"]'),
    doc="Packages that are built from their source: code of theirs runs, here and in a stage of the build.",
)
APT = Field(name="apt", kind=list_kind(values.APT, example='["git"]'), doc="Packages of the OS archive.")
OS_SNAPSHOT = Field(
    name="os_snapshot",
    kind=values.OS_SNAPSHOT,
    doc='The day that OS packages are taken from, "2026-06-01"; true for that of locking, false for none.',
)
COPY = Field(
    name="copy",
    kind=list_kind(values.COPY, example='[{ from = ".", to = "/app" }]'),
    doc="Files and directories of the project that go into the image.",
)
WORKDIR = Field(name="workdir", kind=values.WORKDIR, doc="The directory that the container starts in.")
ENV = Field(name="env", kind=ENVIRONMENT, doc="Environment variables of the image. No secrets.")
COMMAND = Field(name="command", kind=values.COMMAND, doc="What the container runs, one word per entry.")
ENTRYPOINT = Field(
    name="entrypoint", kind=values.COMMAND, doc="What runs before `command`, one word per entry."
)
USER = Field(name="user", kind=values.USER, doc='Who the container runs as; "app" (not root) unless said.')
LABELS = Field(
    name="labels",
    kind=map_kind(values.LABEL_NAME, values.SAFE_STRING, example='{ "org.example.team" = "vision" }'),
    doc="Labels of the image, besides those that cudaforge writes.",
)
TAGS = Field(
    name="tags", kind=list_kind(values.TAG, example='["latest"]'), doc="Tags besides the image's own name."
)
MAX_SIZE = Field(name="max_size", kind=SIZE, doc='The most that the image may weigh: "8GiB".')
RUN = Field(
    name="run",
    kind=list_kind(values.SAFE_STRING, example='["apt-get --version"]', unique=False),
    doc="Extra build steps, each one shell command; shown in the plan.",
)
SECRETS = Field(
    name="secrets",
    kind=list_kind(values.SECRET, example='["hf_token"]'),
    doc="Build secrets that the steps of `run` may read, mounted and never stored.",
)
SSH = Field(name="ssh", kind=later_kind(), doc="An SSH agent for the steps of `run` (not supported yet).")
TEMPLATE = Field(name="template", kind=later_kind(), doc="An own Dockerfile template (not supported yet).")
ON_CONFLICT = Field(
    name="on_conflict",
    kind=enum_kind(OnConflict),
    doc="What happens without an answer: an error, or (the default inside a matrix) the point is skipped.",
)

VERIFY_GPU = Field(name="gpu", kind=enum_kind(GpuDemand), doc="Whether the proof needs a GPU.")
VERIFY_STEPS = Field(name="steps", kind=integer_kind(1, _STEPS_MAX), doc="Training steps of the proof.")
VERIFY_MEMORY = Field(name="memory_limit", kind=SIZE, doc='Memory of the container: "8GiB".')
VERIFY_TIMEOUT = Field(name="timeout", kind=DURATION, doc='The longest that the proof may take: "5m".')
VERIFY = Field(
    name="verify",
    kind=table_kind(
        (any_field(VERIFY_GPU), any_field(VERIFY_STEPS), any_field(VERIFY_MEMORY), any_field(VERIFY_TIMEOUT))
    ),
    doc="How the image is proven.",
)

DEFAULT_FIELDS: tuple[Field[object], ...] = (
    *WISH_FIELDS,
    any_field(PACKAGES),
    any_field(REQUIREMENTS),
    any_field(BUILD_FROM_SOURCE),
    any_field(APT),
    any_field(OS_SNAPSHOT),
    any_field(COPY),
    any_field(WORKDIR),
    any_field(ENV),
    any_field(COMMAND),
    any_field(ENTRYPOINT),
    any_field(USER),
    any_field(LABELS),
    any_field(TAGS),
    any_field(MAX_SIZE),
    any_field(RUN),
    any_field(SECRETS),
    any_field(SSH),
    any_field(TEMPLATE),
    any_field(ON_CONFLICT),
    any_field(VERIFY),
)

PROJECT_NAME = Field(
    name="name",
    kind=text_kind(
        REPOSITORY,
        allowed="lower-case letters and digits with '.', '_', '-' or '/' between them: it names the images",
        longest=128,
    ),
    doc="The project; images are tagged REGISTRY/NAME:IMAGE.",
)
PROJECT_REGISTRY = Field(name="registry", kind=REGISTRY, doc='Where images are pushed: "ghcr.io/acme".')
PROJECT_FIELDS = (any_field(PROJECT_NAME), any_field(PROJECT_REGISTRY))

CA_BUNDLE = Field(name="ca_bundle", kind=STRING, doc="A PEM file with the site's certificate authorities.")
HTTP_PROXY = Field(name="http_proxy", kind=PROXY, doc="Proxy for http.")
HTTPS_PROXY = Field(name="https_proxy", kind=PROXY, doc="Proxy for https.")
NO_PROXY_HOSTS = Field(name="no_proxy", kind=NO_PROXY, doc="Hosts that are reached without the proxy.")
DEFAULT_INDEX = Field(
    name="index", kind=INDEX, doc="The package index, instead of the one that pip and uv are configured with."
)
EXTRA_INDEXES = Field(
    name="extra_indexes", kind=list_kind(INDEX, example='["https://..."]'), doc="More package indexes."
)
FIND_LINKS_PLACES = Field(
    name="find_links",
    kind=list_kind(FIND_LINKS, example='["wheels"]'),
    doc="Directories or pages with wheels.",
)
INDEXES = Field(
    name="indexes",
    kind=map_kind(INDEX_NAME, INDEX, example='{ pytorch-cu128 = "https://..." }'),
    doc="Addresses for the indexes that the matrix names, such as a mirror.",
)
PYTHON_MIRROR = Field(
    name="python_mirror",
    kind=INDEX,
    doc="Where standalone Pythons come from, instead of the releases of python-build-standalone.",
)
OS_SNAPSHOTS = Field(
    name="os_snapshots",
    kind=map_kind(INDEX_NAME, ARCHIVE, example='{ debian = "https://..." }'),
    doc="Addresses for the snapshot services of OS archives that the matrix names, such as a mirror.",
)
NETWORK_FIELDS = (
    any_field(CA_BUNDLE),
    any_field(HTTP_PROXY),
    any_field(HTTPS_PROXY),
    any_field(NO_PROXY_HOSTS),
    any_field(DEFAULT_INDEX),
    any_field(EXTRA_INDEXES),
    any_field(FIND_LINKS_PLACES),
    any_field(INDEXES),
    any_field(PYTHON_MIRROR),
    any_field(OS_SNAPSHOTS),
)

OVERLAYS = Field(
    name="overlays",
    kind=list_kind(values.PROJECT_PATH, example='["facts/own.toml"]'),
    doc="Matrix files of the project that add to the facts that cudaforge brings.",
)
MATRICES_FIELDS = (any_field(OVERLAYS),)
