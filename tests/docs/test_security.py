"""docs/security.md names tests that there are; the tree holds no secret, and the scan would see one."""

import re
from pathlib import Path

import pytest

from deploy import secret_scan

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`", PAGE)))


def test_the_page_names_many_tests() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_the_page_names_exists(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    wanted = [name for named, name in NAMED if named == file and name]
    missing = [name for name in wanted if not re.search(rf"def {name}\(", text)]
    assert not missing, f"{file} lacks {missing}"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("private key", "-----BEGIN EC " + "PRIVATE KEY-----"),
        ("private JWK", '{"kty": "EC", "d": "' + "a1" * 25 + '"}'),
        ("signed token", "eyJ" + "a" * 40 + ".eyJ" + "b" * 40 + "." + "c" * 60),
        ("cloud access key", "AKIA" + "Z" * 16),
        ("code host token", "ghp_" + "x" * 36),
        ("service token", "xoxb-" + "1" * 24),
        ("master key", "KONSIL_MASTER_KEY" + "=" + "A" * 43 + "="),
        ("address with password", "postgresql://konsil:" + "s3cretword@db.example/x"),
    ],
)
def test_the_scan_sees_a_secret_and_says_no_word_of_it(kind: str, text: str) -> None:
    assert list(secret_scan.found(f"one\n{text}\n")) == [(2, kind)]


def test_no_secret_is_tracked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        secret_scan.main()
    assert ended.value.code == 0, ended.value.code
