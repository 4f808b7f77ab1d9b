import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cudaforge.errors import InputError
from cudaforge.matrix.compile import compile_matrix
from cudaforge.matrix.load import CompiledRows
from cudaforge.matrix.overlay import read_overlay
from cudaforge.matrix.tables import Matrix
from tests.unit.matrix.samples import write_matrix

SOURCES = '[sources]\nours = { strength = "measured", checked = "2026-05-01", text = "we looked" }\n'


@pytest.fixture
def lay_on(tmp_path):
    content = compile_matrix(write_matrix(tmp_path / "matrices"))

    def lay(*texts):
        overlays = []
        for number, text in enumerate(texts):
            path = tmp_path / f"facts{number}.toml"
            path.write_text(text, encoding="utf-8")
            overlays.append(read_overlay(path))
        rows = CompiledRows(content)
        if overlays:
            rows.lay_on(overlays)
        return Matrix(rows)

    return lay


def overlay(body):
    return f"schema = 1\n{SOURCES}\n{body}"


OWN_IMAGE = """
[[base_images]]
reference = "registry.example/cuda:ours"
os = "debian12"
platforms = "linux/amd64"
flavor = "runtime"
cuda = "12.6.3"
cudnn = "9.10.2.21"
source = "ours"
"""


def test_rows_are_added(lay_on):
    matrix = lay_on(overlay(OWN_IMAGE))
    added = [
        image for image in matrix.base_images if image.os == "debian12" and image.source.id.endswith("ours")
    ]
    assert [image.reference for image in added] == ["registry.example/cuda:ours"]
    assert (added[0].source.text, added[0].source.file) == ("we looked", "facts0.toml")
    assert len(matrix.base_images) == 6


def test_a_row_with_the_same_key_replaces(lay_on):
    matrix = lay_on(
        overlay('[[cuda]]\nversion = "12.6.0"\ndriver = "1.2"\ncapabilities = "8.0"\nsource = "ours"\n')
    )
    assert [(str(row.version), str(row.driver)) for row in matrix.cuda_releases] == [
        ("12.6.0", "1.2"),
        ("12.6.3", "None"),
        ("13.0.0", "None"),
    ]


def test_a_base_image_replaces_also_from_another_system(lay_on):
    moved = OWN_IMAGE.replace("registry.example/cuda:ours", "vendor/cuda:12.6.3-base-debian12")
    matrix = lay_on(overlay(moved.replace('"debian12"', '"ubuntu24.04"')))
    assert "vendor/cuda:12.6.3-base-debian12" not in [
        row.reference for row in matrix.base_images if row.os == "debian12"
    ]
    assert "vendor/cuda:12.6.3-base-debian12" in [
        row.reference for row in matrix.base_images if row.os == "ubuntu24.04"
    ]
    assert len(matrix.base_images) == 5


def test_a_later_overlay_wins_over_an_earlier_one(lay_on):
    one = overlay('[[indexes]]\nname = "spare"\nurl = "https://one.example"\nsource = "ours"\n')
    matrix = lay_on(one, one.replace("one.example", "two.example"))
    assert matrix.indexes["spare"].url == "https://two.example"
    assert matrix.indexes["spare"].source.file == "facts1.toml"


OWN_BUILD = """
[framework]
name = "example"

[[releases]]
version = "2.0"
build = "ours"
platforms = "linux/amd64"
pythons = "3.12"
glibc = "2.17"
provider = "none"
index = "default"
requires = ["example===2.0"]
reported = "2.0"
source = "ours"
"""

OWN_FRAMEWORK = """
[framework]
name = "own"
title = "Own"
aliases = ["mine"]
proof = "own"
template = "own"
source = "ours"
"""


def test_a_build_is_added_to_a_framework_that_is_known(lay_on):
    matrix = lay_on(overlay(OWN_BUILD))
    assert str(matrix.builds("example")[-1].version) == "2.0"
    assert matrix.frameworks["example"].title == "The Example"


def test_a_whole_framework_is_added(lay_on):
    matrix = lay_on(overlay(OWN_FRAMEWORK))
    found = matrix.find_framework("mine")
    assert found is not None
    assert found.name == "own"
    assert set(matrix.frameworks) == {"example", "own"}


def test_the_revision_says_which_overlays(lay_on):
    plain = lay_on()
    one = overlay(OWN_IMAGE)
    assert len({plain.revision, lay_on(one).revision, lay_on(one + "\n# a comment\n").revision}) == 3
    assert lay_on(one).revision == lay_on(one).revision
    assert (plain.as_of, lay_on(one).as_of) == ("2026-01-31", "2026-05-01")
    assert lay_on("schema = 1\n").as_of == "2026-01-31"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("schema = 1\n[[cuda]\n", "not valid TOML"),
        ("", "schema must be 1"),
        (overlay("[[gpu]]\nname = 'x'\n"), "unknown table 'gpu'"),
        (overlay('[[cuda]]\nversion = "1"\nsource = "theirs"\n'), "1: source 'theirs' is not among"),
        (overlay('[[cuda]]\nversion = 12.10\nsource = "ours"\n'), "version must be a text"),
        (overlay('[[cuda]]\nversion = "x"\nsource = "ours"\n'), "x: version: 'x' is not a version"),
        (overlay('[[cuda]]\nversion = "1"\nsource = "ours"\ndirver = "2"\n'), "1: unknown key 'dirver'"),
        (overlay('[[cuda]]\nversion = "1"\n'), "1: source is missing"),
        ("x = 1\n" * 2, "written twice"),
        ("a" + ".a" * 20000 + " = 1\n", "too many parts"),
        ("x = " + "[" * 2000, "deep"),
    ],
)
def test_a_malformed_overlay_names_file_and_row(lay_on, text, expected):
    with pytest.raises(InputError) as caught:
        lay_on(text)
    problem = caught.value.problems[0]
    assert expected in problem.what
    assert problem.where is not None
    assert problem.where.file.endswith("facts0.toml")


def test_all_mistakes_of_an_overlay_at_once(lay_on):
    rows = '[[cuda]]\nversion = "x"\nsource = "ours"\n[[cuda]]\nversion = "y"\nsource = "ours"\n'
    with pytest.raises(InputError) as caught:
        lay_on(overlay(rows))
    assert [problem.where.key for problem in caught.value.problems] == ["x", "y"]


def test_an_overlay_that_is_not_there(tmp_path):
    with pytest.raises(InputError) as caught:
        read_overlay(tmp_path / "none.toml")
    assert "none.toml" in caught.value.problems[0].what


STRENGTHS = ("inferred", "vendor", "index", "measured")
DRIVERS = ("500.1", "510.1", "520.1")
FIELDS = ("driver", "minor_driver", "gcc")
# What the sample's own row of CUDA 12.6.0 says, measured.
OWN = {"driver": "560.28.03", "minor_driver": "525.60.13"}


@st.composite
def claims(draw):
    fields = draw(st.lists(st.sampled_from(FIELDS), min_size=1, unique=True))
    return {
        "said": {field: draw(st.sampled_from(("", *DRIVERS))) for field in fields},
        "strength": draw(st.sampled_from(STRENGTHS)),
        "overrides": draw(st.booleans()),
    }


def overlay_of(claim):
    lines = [f'{field} = "{value}"' for field, value in claim["said"].items()]
    lines += ['overrides = "we know"'] if claim["overrides"] else []
    source = f'[sources]\nours = {{ strength = "{claim["strength"]}", checked = "2026-05-01", text = "x" }}\n'
    row = '[[cuda]]\nversion = "12.6.0"\nsource = "ours"\n'
    return f"schema = 1\n{source}{row}" + "\n".join(lines) + "\n"


def strongest(found, field):
    """Who is believed of a field, written a second time: the matrix says every field, be it nothing."""
    matrix = {"said": OWN, "strength": "measured", "overrides": False}
    best, rank = (OWN.get(field, ""), matrix), (False, STRENGTHS.index("measured"), -1)
    for position, claim in enumerate(found):
        own = (claim["overrides"], STRENGTHS.index(claim["strength"]), position)
        if field in claim["said"] and own > rank:
            best, rank = (claim["said"][field], claim), own
    return best


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(claims(), min_size=1, max_size=4))
def test_of_every_setting_the_strongest_source_counts_and_the_others_are_told(lay_on, found):
    row = lay_on(*(overlay_of(claim) for claim in found)).cuda_releases[0]
    disputes = row.source.disputes
    for field in FIELDS:
        value, believed = strongest(found, field)
        assert str(getattr(row, field) or "") == value
        told = {one.other for one in disputes if one.field == field}
        others = [{"said": OWN}, *found]
        differ = {one["said"][field] for one in others if field in one["said"] and one is not believed}
        is_said = field in believed["said"]
        assert told == ({one or "nothing" for one in differ if one != value} if is_said else set())
        assert all(one.value == (value or "nothing") for one in disputes if one.field == field)
    believed = [(field, strongest(found, field)[1]) for field in FIELDS]
    is_rumour = any(field in one["said"] and one["strength"] == "inferred" for field, one in believed)
    assert (row.source.strength.value == "inferred") == is_rumour


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.permutations(STRENGTHS), value=st.permutations(("500.1", "510.1", "520.1", "530.1")))
def test_the_order_of_overlays_of_other_strengths_does_not_matter(lay_on, found, value):
    said = dict(zip(STRENGTHS, value, strict=True))
    texts = [overlay_of({"said": {"gcc": said[one]}, "strength": one, "overrides": False}) for one in found]
    row = lay_on(*texts).cuda_releases[0]
    assert str(row.gcc) == said["measured"]
    assert row.source.file.startswith("facts")
