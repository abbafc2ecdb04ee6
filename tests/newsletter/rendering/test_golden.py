"""Each block in each theme is, letter for letter, what somebody has looked at."""

from __future__ import annotations

import pytest

from tests.newsletter.rendering.golden import FOLDER, goldens
from tests.newsletter.rendering.sample_issues import shipped_themes


@pytest.mark.parametrize("theme", [theme.name for theme in shipped_themes()])
def test_each_block_is_what_it_was_when_somebody_looked_at_it(theme: str) -> None:
    made = {path: html for path, html in goldens() if path.parent.name == theme}
    changed = [path.stem for path, html in made.items() if not path.is_file() or path.read_text("utf-8") != html]
    assert changed == [], "If the change is meant: make golden, and look at the difference."


def test_no_file_is_left_of_a_block_that_is_gone() -> None:
    assert set(FOLDER.rglob("*.html")) == {path for path, _ in goldens()}
