"""Golden files: the HTML of each block in each theme is unchanged."""

from __future__ import annotations

import pytest

from tests.newsletter.rendering.golden import FOLDER, goldens
from tests.newsletter.rendering.sample_issues import shipped_themes


@pytest.mark.parametrize("theme", [theme.name for theme in shipped_themes()])
def test_each_block_equals_its_golden_file(theme: str) -> None:
    made = {path: html for path, html in goldens() if path.parent.name == theme}
    changed = [path.stem for path, html in made.items() if not path.is_file() or path.read_text("utf-8") != html]
    assert changed == [], "If the change is intended, run make golden and review the difference."


def test_there_are_no_golden_files_without_a_block() -> None:
    assert set(FOLDER.rglob("*.html")) == {path for path, _ in goldens()}
