"""An anchor finds its text wherever a symbol's file stands, and refuses what is not there exactly once."""

from pathlib import Path

import pytest
from tests.mutations.anchors import AnchorError, find_in_file, find_in_symbol

SOURCE = '''"""A module that says limit = 5 too."""

GROUP: int = 500
LIMIT, OTHER = (
    5,
    7,
)


class Recorder:
    size = 1

    @bounded(limit=5)
    def store(self) -> int:
        def inner() -> int:
            return 1  # zwölf Zeichen — mehr Bytes

        return inner() + 1

    if GROUP:

        def chosen(self) -> int:
            return 3


async def store() -> int:
    return 2
'''


def write(root: Path, name: str, text: str = SOURCE) -> Path:
    path = root / "services" / "ingest" / "src" / "mainstem" / "ingest" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["record.py", "inbox/recorder.py"])
def test_symbol_is_found_in_whichever_file_it_stands(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)
    place = find_in_symbol(tmp_path, "ingest: Recorder.store.inner", "return 1")
    assert place.file == path
    assert place.replace("return 1", "return 9") == SOURCE.replace("return 1", "return 9")


@pytest.mark.parametrize(
    ("symbol", "old"),
    [
        ("GROUP", "500"),
        ("LIMIT", "5,\n"),
        ("OTHER", "7,"),
        ("Recorder", "size = 1"),
        ("Recorder.store", "limit=5"),
        ("Recorder.chosen", "return 3"),
        ("store", "return 2\n"),
    ],
)
def test_text_is_found_in_assignments_classes_decorators_and_functions(
    tmp_path: Path, symbol: str, old: str
) -> None:
    write(tmp_path, "record.py")
    place = find_in_symbol(tmp_path, f"ingest: {symbol}", old)
    assert SOURCE.count(old) == 1
    assert place.offset == SOURCE.index(old)


def test_last_line_without_a_newline_is_part_of_its_symbol(tmp_path: Path) -> None:
    write(tmp_path, "record.py", "FIRST = 1\nLAST = 2")
    assert find_in_symbol(tmp_path, "ingest: LAST", "2").offset == len("FIRST = 1\nLAST = ")


def test_line_separator_inside_a_text_shifts_no_symbol(tmp_path: Path) -> None:
    text = 'FIRST = "a\u2028\x0cb"\nSECOND = 2\n'
    write(tmp_path, "record.py", text)
    assert find_in_symbol(tmp_path, "ingest: SECOND", "2").offset == text.index("2")


def test_name_in_two_modules_is_found_by_its_text(tmp_path: Path) -> None:
    write(tmp_path, "record.py")
    other = write(tmp_path, "other.py", "def store() -> int:\n    return 77\n")
    assert find_in_symbol(tmp_path, "ingest: store", "77").file == other


@pytest.mark.parametrize(("symbol", "old"), [("Recorder", "return "), ("store", "return 2")])
def test_text_that_stands_twice_is_refused_with_its_lines(tmp_path: Path, symbol: str, old: str) -> None:
    write(tmp_path, "record.py")
    write(tmp_path, "copy.py", "async def store() -> int:\n    return 2\n")
    with pytest.raises(AnchorError, match=r"stands [23] times in .*py:\d+ and .*record\.py:\d+") as refused:
        find_in_symbol(tmp_path, f"ingest: {symbol}", old)
    assert f"`ingest: {symbol}`" in str(refused.value)


def test_text_that_is_gone_is_refused_with_the_symbols_line(tmp_path: Path) -> None:
    write(tmp_path, "record.py")
    with pytest.raises(AnchorError, match=r"not in `ingest: GROUP`, at .*/record\.py:3; .* name the symbol"):
        find_in_symbol(tmp_path, "ingest: GROUP", "limit=5")


@pytest.mark.parametrize("symbol", ["ingest: Recorder.gone", "ingest: size", "ingest: inner", "ingest: "])
def test_symbol_that_is_gone_is_refused_with_where_it_was_sought(tmp_path: Path, symbol: str) -> None:
    write(tmp_path, "record.py")
    with pytest.raises(AnchorError, match=r"module-level assignment below services/ingest/src; .* `in`"):
        find_in_symbol(tmp_path, symbol, "1")


@pytest.mark.parametrize("symbol", ["shop: Recorder", "Recorder", ": Recorder", "../ingest: Recorder"])
def test_unknown_distribution_is_refused_with_the_form_of_an_anchor(tmp_path: Path, symbol: str) -> None:
    write(tmp_path, "record.py")
    with pytest.raises(AnchorError, match=r"`ingest: Recorder\._commit`"):
        find_in_symbol(tmp_path, symbol, "1")


def test_file_outside_of_the_sources_is_searched_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "tool.toml").write_text("a = 1\nb = 2\nc = 2\n")
    assert find_in_file(tmp_path, "tool.toml", "a = 1").offset == 0
    with pytest.raises(AnchorError, match=r"2 times in `tool\.toml`, at tool\.toml:2 and tool\.toml:3"):
        find_in_file(tmp_path, "tool.toml", "= 2")
    with pytest.raises(AnchorError, match=r"no file gone\.toml"):
        find_in_file(tmp_path, "gone.toml", "a = 1")
