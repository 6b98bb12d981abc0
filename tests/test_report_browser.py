"""The page in a real browser: quiet console, filters that work, model text as text, thousands of items at ease."""

import pytest
from report_run import make_run

from experiments.report.page import write_report
from experiments.report.screenshot import chromium as find_chromium

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

ATTACK = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> & <b>bold</b>"
RIGHT_TO_LEFT = "אני חושב שהתשובה היא B"


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, tmp_path):
    """Open a report; whatever its console says or asks the network for ends up in ``page.said``."""
    pages = []

    def open_(run, fragment="", **options):
        path = write_report([run], tmp_path / "report.html")
        page = chromium.new_page(**options)
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.said.append(request.url) if "report.html" not in request.url else None)
        page.goto(f"file://{path}{fragment}")
        page.wait_for_selector("#browser:not([hidden])", timeout=20_000)
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()


def test_console_is_quiet_and_filters_filter(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 36))
    count = page.locator(".count")
    assert count.inner_text() == "36 of 36"
    page.select_option("select[name=kind]", "metadata")
    assert count.inner_text() == "12 of 36"
    page.select_option("select[name=verdict]", "admits")
    assert count.inner_text() == "3 of 36"
    sync_api.expect(page.locator(".rows button")).to_have_count(3)
    page.select_option("select[name=kind]", "")
    page.select_option("select[name=verdict]", "")
    page.fill("input[name=text]", "Q17:")
    assert count.inner_text() == "1 of 36"
    page.fill("input[name=text]", "no such words")
    sync_api.expect(page.locator(".rows button")).to_have_count(0)
    assert page.said == []


def test_model_text_is_shown_as_text(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 6, cots=(ATTACK, RIGHT_TO_LEFT), hint=ATTACK, quote=ATTACK))
    page.locator(".rows button").first.click()
    shown = page.locator("#browser .turn.model .text").first
    assert ATTACK in shown.inner_text()
    assert page.locator(".detail .m-quote").inner_text() == ATTACK
    assert page.locator(".detail .m-hint").inner_text() == ATTACK
    page.locator(".rows button").nth(1).click()
    assert RIGHT_TO_LEFT in shown.inner_text()
    assert shown.get_attribute("dir") == "auto"
    assert page.locator(".detail img, .detail script, .detail b b").count() == 0
    assert page.title() != "owned"
    assert page.said == []


def test_scored_chains_of_thought_are_shaded(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 9))
    row = page.locator('.rows button[data-id="q0:sycophancy:hinted:0"]')
    assert "scored" in row.text_content()
    row.click()
    piece = page.locator(".detail .scored")
    sync_api.expect(piece).to_have_count(1)
    assert piece.get_attribute("title") == "probe score 0.73"
    assert piece.evaluate("node => getComputedStyle(node).backgroundColor") != "rgba(0, 0, 0, 0)"


def test_an_item_can_be_linked_to_and_walked_through_by_keyboard(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 9), "#item=q4%3Ametadata%3Ahinted%3A0")
    assert page.locator(".detail h4").inner_text() == "q4:metadata:hinted:0"
    page.locator(".rows button").first.focus()
    page.keyboard.press("ArrowDown")
    second = page.locator(".rows button").nth(1)
    assert second.get_attribute("aria-current") == "true"
    assert page.locator(".detail h4").inner_text() == second.get_attribute("data-id")


def test_five_thousand_items_stay_at_ease(open_page, tmp_path):
    """Not a timed test: the bound is far above what may be; experiments/benchmarks/report_page.py measures."""
    page = open_page(make_run(tmp_path, 5000, cots=tuple(f"I recall {i}. " * 20 for i in range(97))))
    assert page.locator(".count").inner_text() == "5000 of 5000"
    assert page.locator(".rows button").count() <= 200  # the rest come as one scrolls
    page.locator(".rows").evaluate("node => node.scrollTo(0, node.scrollHeight)")
    page.locator(".rows button").nth(200).wait_for(state="attached")  # waiting for a function needs eval
    page.fill("input[name=text]", "recall 13.")
    assert page.locator(".count").inner_text().endswith(" of 5000")
    assert float(page.locator("#browser").get_attribute("data-filter-ms")) < 10_000


def test_an_item_stands_open_from_the_start_and_the_address_is_left_alone(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 9))
    first = page.locator(".rows button").first
    assert first.get_attribute("aria-current") == "true"
    assert page.locator(".detail h4").inner_text() == first.get_attribute("data-id")
    assert page.evaluate("location.hash") == ""


def test_what_a_reader_meets_first_is_the_claim(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 9))
    tops = [page.locator(place).first.bounding_box()["y"] for place in (".big", "nav", ".shares", ".verdict", ".fates")]
    assert tops == sorted(tops)
    assert tops[0] < 500


def test_no_table_is_cut_on_a_wide_screen(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 36), viewport={"width": 1200, "height": 900})
    cut = page.evaluate("""() => [...document.querySelectorAll("main > article .scroll")]
      .filter((box) => box.scrollWidth > box.clientWidth + 1 && !box.closest("details"))
      .map((box) => box.innerText.slice(0, 60))""")
    assert cut == []


def test_the_page_fits_a_phone(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 9), viewport={"width": 390, "height": 844})
    page.locator(".rows button").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_full_page_with_every_fold_open_is_quiet(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 36))
    page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    sync_api.expect(page.locator(".finding")).to_have_count(1)
    assert page.locator("svg.figure").count() >= 5
    page.locator("nav a").last.click()
    assert page.evaluate("location.hash") == "#items-section"
    assert page.said == []


def test_controls_are_folded_away_and_open_on_a_click(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 9))
    fold = page.locator("details.side").first
    table = fold.locator("table").first
    assert not table.is_visible()
    fold.locator("summary").click()
    assert table.is_visible()
    assert "cot_length" in table.inner_text()
    assert page.said == []


def test_folds_are_open_in_print(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 9))
    page.emulate_media(media="print")
    for table in page.locator("details table").all():
        assert table.bounding_box()["height"] > 20
    assert page.pdf().startswith(b"%PDF")
    assert page.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_labels_of_pictures_do_not_overlap(open_page, tmp_path, scheme):
    """In the browser's own font, which is not the one that the pictures were laid out with."""
    page = open_page(make_run(tmp_path, 36), color_scheme=scheme)
    overlapping = page.evaluate("""() => [...document.querySelectorAll("svg.figure")].flatMap((svg) => {
      const texts = [...svg.querySelectorAll("text")].map((node) => [node.textContent, node.getBoundingClientRect()]);
      return texts.flatMap(([a, p], i) => texts.slice(i + 1)
        .filter(([, q]) => p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 2 && q.top < p.bottom - 2)
        .map(([b]) => `${a} / ${b}`));
    })""")
    assert overlapping == []


@pytest.mark.parametrize("width", [390, 768])
def test_nothing_scrolls_the_page_sideways(open_page, tmp_path, width):
    page = open_page(make_run(tmp_path, 9), viewport={"width": width, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.said == []


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1400, "light"),
        (390, "dark"),
        pytest.param(1400, "dark", marks=pytest.mark.slow),
        pytest.param(390, "light", marks=pytest.mark.slow),
    ],
)
def test_the_page_meets_wcag_aa(open_page, tmp_path, width, scheme):
    """Every rule of axe-core for WCAG 2.1 A and AA, on a desktop and a telephone, in both colour schemes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="extra `dev`: axe is not installed")
    page = open_page(make_run(tmp_path, 18), color_scheme=scheme, viewport={"width": width, "height": 900})
    rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    found = axe.Axe().run(page, options=rules).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found] == []


def test_nothing_overflows_a_telephone_and_the_way_stays_in_sight(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 18), viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("document.querySelector('section details.panel').scrollIntoView()")
    page.mouse.wheel(0, 600)
    assert page.locator("nav").first.bounding_box()["y"] < 800


def test_an_item_that_no_filter_shows_is_not_kept_beside_an_empty_list(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 18))
    page.fill("input[name=text]", "no such words")
    assert page.locator(".detail").inner_text() == "No rollout matches."


def test_figures_can_be_saved_and_the_tables_downloaded(open_page, tmp_path):
    page = open_page(make_run(tmp_path, 18))
    drawn = page.locator("figure svg.figure").count()
    assert drawn > 0
    assert page.locator("a.save[download$='.svg']").count() == drawn
    with page.expect_download() as waiting:
        page.click("a[download='detectors.csv']")
    assert "probe_before_cot" in waiting.value.path().read_text()
