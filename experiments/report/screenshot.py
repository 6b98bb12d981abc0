"""The top of a report as a picture: ``python -m experiments.report.screenshot cache/runs/demo``."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from activations.errors import HintprobeError
from experiments.report.current import PAGE
from experiments.report.page import write_report
from experiments.report.runs import read_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "report.png"
WIDTH, HEIGHT, SCALE = 1180, 1240, 1.5


def chromium() -> str | None:
    """Path of Chromium or Chrome; None where it, or the package playwright that drives it, is missing."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found if find_spec("playwright") else None


def take(page: Path, picture: Path, browser: str) -> None:
    """Write the top of a page, in its light colours, as PNG.

    Args:
        browser: path of Chromium.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = running.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE, color_scheme="light"
        )
        tab.goto(page.resolve().as_uri())
        tab.screenshot(path=str(picture))
        running.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the report of a run, and the picture that the README shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("-o", "--out", type=Path, default=PICTURE)
    options = parser.parse_args(arguments)
    try:
        browser = chromium()
        if browser is None:
            raise HintprobeError(
                "A picture of the page needs Chromium or Chrome on the PATH and the Python package playwright (extra "
                "`dev`), but one of them is missing. Install it, or open the report by hand."
            )
        take(write_report([read_run(options.run)], options.run / PAGE), options.out, browser)
    except HintprobeError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from error
    sys.stdout.write(f"{options.out}\n")


if __name__ == "__main__":
    main()
