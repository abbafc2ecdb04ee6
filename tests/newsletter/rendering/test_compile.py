"""mrml: each way it fails becomes one error; none passes for success."""

from __future__ import annotations

import pytest

from newsletter.rendering import compile as compiling
from newsletter.rendering.compile import compile_mjml, refuse_corrupt_attributes, refuse_left_mjml, run_mrml
from newsletter.rendering.errors import RenderingError


def document(body: str) -> str:
    return f"<mjml><mj-body><mj-section><mj-column>{body}</mj-column></mj-section></mj-body></mjml>"


def test_what_mrml_refuses_becomes_an_error_with_its_line() -> None:
    with pytest.raises(RenderingError, match=r"The MJML was refused: .*position") as caught:
        run_mrml("<mjml>\n<mj-head>\n<mj-what />\n</mj-head></mjml>")
    assert caught.value.line == 3


def test_a_panic_of_the_renderer_is_an_error_and_not_the_end_of_the_worker() -> None:
    with pytest.raises(RenderingError, match="broke down"):
        run_mrml(document("<mj-raw><![if"))


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_a_request_to_stop_is_never_taken_for_a_panic(
    signal: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise signal

    monkeypatch.setattr(compiling, "mjml2html", interrupted)
    with pytest.raises(signal):
        run_mrml("<mjml></mjml>")


def test_mjml_left_in_the_html_is_an_error() -> None:
    html = run_mrml(document("<mj-text>a</mj-text><mj-unknown>b</mj-unknown>"))
    with pytest.raises(RenderingError, match="<mj-unknown> is left in the HTML"):
        refuse_left_mjml(html)


def test_tables_for_outlook_opened_in_one_place_and_closed_in_another_are_an_error() -> None:
    source = document(
        "<mj-raw><!--[if mso]><table><tr><td><![endif]--></mj-raw><mj-text>hi</mj-text>"
        "<mj-raw><!--[if mso]></td></tr></table><![endif]--></mj-raw>"
    )
    with pytest.raises(RenderingError, match="<mj-text> is left in the HTML"):
        refuse_left_mjml(run_mrml(source))
    with pytest.raises(RenderingError, match="open <td> and do not close it"):
        compile_mjml(source)


def test_a_story_about_mjml_is_no_leak() -> None:
    html = compile_mjml(document("<mj-text>Write &lt;mj-text&gt; inside &lt;mj-column&gt;.</mj-text>"))
    assert "&lt;mj-text&gt;" in html


def test_what_stands_in_a_comment_for_outlook_is_no_leak() -> None:
    refuse_left_mjml("<p>a</p><!--[if mso]><mj-text>b</mj-text><![endif]-->")


def test_damage_that_the_rewriting_did_not_prevent_stops_the_issue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "mjml2html", lambda *_, **__: r'<p title="a\u{a0}b">x</p>')
    with pytest.raises(RenderingError, match="damaged in rendering"):
        compile_mjml(document("<mj-text>x</mj-text>"))


@pytest.mark.parametrize("damage", [r"a\u{a0}b", r"say \"hi\"", r"a\nb", r"a\tb", r"a\\b"])
def test_a_damaged_attribute_is_noticed(damage: str) -> None:
    with pytest.raises(RenderingError, match="damaged in rendering"):
        refuse_corrupt_attributes(f'<p><img alt="{damage}" src="x.png"></p>')


def test_a_story_about_escapes_is_no_damage() -> None:
    html = compile_mjml(document(r"<mj-text>In Rust, <code title='\u{a0}'>\u{a0} and \n</code> are escapes.</mj-text>"))
    assert r"\u{a0} and \n" in html


def test_no_font_is_fetched_from_anybody() -> None:
    html = compile_mjml(document('<mj-text font-family="Ubuntu, Helvetica">hi</mj-text>'))
    assert "googleapis" not in html
    assert "@import" not in html
