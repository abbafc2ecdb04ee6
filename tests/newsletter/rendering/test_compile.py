"""mrml: every failure becomes a RenderingError."""

from __future__ import annotations

import pytest

from newsletter.rendering import compile as compiling
from newsletter.rendering.compile import compile_mjml, refuse_corrupt_attributes, refuse_left_mjml, run_mrml
from newsletter.rendering.errors import RenderingError


def document(body: str) -> str:
    return f"<mjml><mj-body><mj-section><mj-column>{body}</mj-column></mj-section></mj-body></mjml>"


def test_a_refusal_of_mrml_is_an_error_with_its_line() -> None:
    with pytest.raises(RenderingError, match=r"The MJML was refused: .*position") as caught:
        run_mrml("<mjml>\n<mj-head>\n<mj-what />\n</mj-head></mjml>")
    assert caught.value.line == 3


def test_a_panic_of_the_renderer_is_an_error_and_does_not_end_the_worker() -> None:
    with pytest.raises(RenderingError, match="renderer crashed"):
        run_mrml(document("<mj-raw><![if"))


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_not_treated_as_a_panic(signal: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise signal

    monkeypatch.setattr(compiling, "mjml2html", interrupted)
    with pytest.raises(signal):
        run_mrml("<mjml></mjml>")


def test_mjml_left_in_the_html_is_an_error() -> None:
    html = run_mrml(document("<mj-text>a</mj-text><mj-unknown>b</mj-unknown>"))
    with pytest.raises(RenderingError, match="<mj-unknown> is left in the HTML"):
        refuse_left_mjml(html)


def test_outlook_tables_opened_and_closed_in_different_elements_are_an_error() -> None:
    source = document(
        "<mj-raw><!--[if mso]><table><tr><td><![endif]--></mj-raw><mj-text>hi</mj-text>"
        "<mj-raw><!--[if mso]></td></tr></table><![endif]--></mj-raw>"
    )
    with pytest.raises(RenderingError, match="<mj-text> is left in the HTML"):
        refuse_left_mjml(run_mrml(source))
    with pytest.raises(RenderingError, match="open <td> and do not close it"):
        compile_mjml(source)


def test_escaped_mjml_in_a_text_is_not_left_mjml() -> None:
    html = compile_mjml(document("<mj-text>Write &lt;mj-text&gt; inside &lt;mj-column&gt;.</mj-text>"))
    assert "&lt;mj-text&gt;" in html


def test_mjml_in_a_comment_for_outlook_is_not_left_mjml() -> None:
    refuse_left_mjml("<p>a</p><!--[if mso]><mj-text>b</mj-text><![endif]-->")


def test_corruption_that_the_rewriting_did_not_prevent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "mjml2html", lambda *_, **__: r'<p title="a\u{a0}b">x</p>')
    with pytest.raises(RenderingError, match="corrupted in rendering"):
        compile_mjml(document("<mj-text>x</mj-text>"))


@pytest.mark.parametrize("damage", [r"a\u{a0}b", r"say \"hi\"", r"a\nb", r"a\tb", r"a\\b"])
def test_a_corrupt_attribute_is_detected(damage: str) -> None:
    with pytest.raises(RenderingError, match="corrupted in rendering"):
        refuse_corrupt_attributes(f'<p><img alt="{damage}" src="x.png"></p>')


def test_escapes_in_a_text_are_not_corruption() -> None:
    html = compile_mjml(document(r"<mj-text>In Rust, <code title='\u{a0}'>\u{a0} and \n</code> are escapes.</mj-text>"))
    assert r"\u{a0} and \n" in html


def test_no_font_is_loaded() -> None:
    html = compile_mjml(document('<mj-text font-family="Ubuntu, Helvetica">hi</mj-text>'))
    assert "googleapis" not in html
    assert "@import" not in html
