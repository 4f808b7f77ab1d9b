import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.matrix.expand import expand_document

SOURCES = {"seen": {"text": "read", "checked": "2026-01-31", "strength": "measured"}}


def expand(**document):
    return expand_document("file.toml", {"schema": 1, "sources": SOURCES, **document})


def whats(expanded):
    return [f"{finding.row}: {finding.what}" for finding in expanded.findings]


def test_rows_inherit_from_their_block_and_win_over_it():
    expanded = expand(
        cuda=[
            {"source": "seen", "driver": "1", "releases": [{"version": "1"}, {"version": "2", "driver": "2"}]}
        ]
    )
    assert not expanded.findings
    assert expanded.rows["cuda"] == (
        {"source": "seen", "driver": "1", "version": "1"},
        {"source": "seen", "driver": "2", "version": "2"},
    )


def test_a_bare_text_in_a_block_is_the_key_of_a_row():
    expanded = expand(
        cudnn=[{"source": "seen", "releases": ["9.1"]}], gpus=[{"products": ["H1"], "source": "seen"}]
    )
    assert expanded.rows["cudnn"] == ({"source": "seen", "version": "9.1"},)
    assert expanded.rows["gpus"] == ({"source": "seen", "name": "H1"},)


def test_nearer_settings_win_and_a_shape_counts_where_it_is_named():
    expanded = expand(
        framework={"name": "example"},
        defaults={"index": "from defaults", "glibc": "from defaults", "reported": "from defaults"},
        shapes={"cpu": {"index": "from shape", "glibc": "from shape", "env": {"A": "from shape"}}},
        releases=[
            {
                "version": "1",
                "glibc": "from block",
                "builds": [{"build": "cpu", "like": "cpu", "env": {"B": "row"}}],
            },
            {
                "version": "2",
                "like": "cpu",
                "glibc": "from block",
                "builds": [{"build": "cpu", "index": "from row"}],
            },
        ],
    )
    first, second = expanded.rows["builds"]
    assert (first["index"], first["glibc"], first["reported"]) == (
        "from shape",
        "from shape",
        "from defaults",
    )
    assert first["env"] == {"B": "row"}
    assert (second["index"], second["glibc"]) == ("from row", "from block")
    assert "like" not in first


def test_a_list_of_shapes_makes_one_row_of_each():
    expanded = expand(
        shapes={
            "base": {"reference": "cuda:{cuda}-base-{os}", "flavor": "base"},
            "devel": {"reference": "cuda:{cuda}-devel-{os}", "flavor": "devel"},
        },
        base_images=[{"cuda": "12.6.3", "like": ["base", "devel"], "images": [{"os": "debian12"}]}],
    )
    assert [row["reference"] for row in expanded.rows["base_images"]] == [
        "cuda:12.6.3-base-debian12",
        "cuda:12.6.3-devel-debian12",
    ]


def test_parameters_fill_placeholders_and_do_not_become_settings():
    expanded = expand(
        framework={"name": "example"},
        shapes={"cpu": {"requires": ["lib==={library}"], "parameters": {"library": "{version}"}}},
        releases=[
            {"version": "1.2", "like": "cpu", "builds": [{"build": "a"}]},
            {"version": "1.3", "like": "cpu", "builds": [{"build": "a", "parameters": {"library": "1.2"}}]},
        ],
    )
    assert [row["requires"] for row in expanded.rows["builds"]] == [["lib===1.2"], ["lib===1.2"]]
    assert all("parameters" not in row for row in expanded.rows["builds"])


def test_an_empty_text_takes_a_setting_away():
    expanded = expand(cuda=[{"source": "seen", "driver": "1", "releases": [{"version": "1", "driver": ""}]}])
    assert expanded.rows["cuda"] == ({"source": "seen", "version": "1"},)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"schema": 2}, ": schema must be 1"),
        ({"gpu": []}, ": unknown table 'gpu': did you mean 'gpus'?"),
        ({"cuda": {"version": "1"}}, ": cuda must be an array of tables"),
        ({"cuda": ["1"]}, ": cuda must be an array of tables"),
        ({"cuda": [{"releases": "1"}]}, ": cuda.releases must be an array"),
        ({"cuda": [{"releases": [1]}]}, ": cuda.releases holds 1, which is neither a table nor a name"),
        ({"cuda": [{"source": "seen"}]}, "a row without a key: version is missing"),
        ({"cuda": [{"version": "1", "drivr": "2"}]}, "1: unknown key 'drivr': did you mean 'driver'?"),
        ({"cuda": [{"version": "1"}, {"version": "1"}]}, "1: stands here twice"),
        ({"cuda": [{"version": "1", "like": "x"}]}, "1: like = 'x': no such shape"),
        ({"cuda": [{"version": "1", "driver": "{minor}"}]}, "1: {minor} stands for no setting of this row"),
        ({"cuda": [{"version": "1", "driver": "{driver}"}]}, "1: {driver} stands for no setting of this row"),
        (
            {"releases": [{"version": "1", "build": "a", "platforms": "b"}]},
            ": releases need a [framework] table with a name",
        ),
        (
            {"sources": {"bad": {"text": "x"}}},
            "sources.bad: must have text, checked and strength, and nothing else",
        ),
        (
            {"sources": {"bad": {**SOURCES["seen"], "checked": "today"}}},
            "sources.bad: checked is 'today': must be a date, as text, like 2026-01-31",
        ),
        ({"sources": []}, ": sources must be a table"),
    ],
)
def test_every_mistake_is_named_with_its_row(document, expected):
    assert expected in whats(expand(**document))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["{version}", "seen", "cpu"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "like", "releases", "builds", "name", "products", "cuda"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["schema", "framework", "sources", "defaults", "shapes", "releases", "cuda", "gpus", "x"]
        ),
        values,
    )
)
def test_no_document_makes_expanding_fail(document):
    expanded = expand_document("file.toml", document)
    assert expanded.file == "file.toml"
    assert expanded.findings or document.get("schema") == 1
