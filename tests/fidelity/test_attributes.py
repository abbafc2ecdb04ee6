"""Every element, attribute and value that validation accepts is rendered by mrml as by the official compiler.

tests/newsletter/rendering/test_mjml_differences.py lists what validation refuses.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.mjml_tables import ATTRIBUTES
from newsletter.rendering.validate import validate_mjml
from tests.fidelity.official import OfficialCompiler, missing, official_compiler
from tests.fidelity.samples import attribute_documents, bodies, document, place_documents
from tests.fidelity.tokens import tokens

pytestmark = [pytest.mark.fidelity, pytest.mark.skipif(bool(missing()), reason=missing())]

MIN_COMPARED = 700
"""The minimum number of accepted documents; fewer would mean that validation refuses too much."""


@pytest.fixture(scope="module")
def official() -> Iterator[OfficialCompiler]:
    with official_compiler() as compiler:
        yield compiler


@pytest.mark.parametrize("tag", bodies())
def test_every_accepted_attribute_gives_the_same_html(official: OfficialCompiler, tag: str) -> None:
    different = []
    for name, source in attribute_documents(tag):
        if validate_mjml(source):
            continue
        if tokens(official.compile(source).html) != tokens(compile_mjml(source)):
            different.append(name)
    assert different == []


def test_every_accepted_element_gives_the_same_html(official: OfficialCompiler) -> None:
    different = []
    for name, source in place_documents():
        assert validate_mjml(source) == (), name
        if tokens(official.compile(source).html) != tokens(compile_mjml(source)):
            different.append(name)
    assert different == []


def test_nearly_everything_is_compared() -> None:
    sources = [source for tag in bodies() for _, source in attribute_documents(tag)]
    assert sum(validate_mjml(source) == () for source in sources) >= MIN_COMPARED


@pytest.mark.parametrize("tag", bodies())
def test_what_the_official_validation_refuses_is_refused(official: OfficialCompiler, tag: str) -> None:
    for name, kind in {"nonsense": "", **ATTRIBUTES[tag]}.items():
        source = document(tag, f'{name}="?!"')
        if official.compile(source).errors:
            assert validate_mjml(source), f"{name} of {tag}, {kind}"
