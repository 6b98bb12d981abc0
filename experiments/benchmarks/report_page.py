"""How soon the report of a large run can be read and searched.

``python -m experiments.benchmarks.report_page RUN [--items 5000] [--distinct] [--rounds 5] [--json]``: RUN is the
folder of a finished run, such as cache/runs/demo. The rollouts of its first model are repeated until there are as many
as asked for (with ``--distinct`` each copy ends in words of its own, so that nothing packs better than in a real run),
the page is written, and opened in a fresh Chromium window per round; medians are printed. Without Chromium (or without
the package playwright) the page is written and measured, and the rest is said to be missing.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from activations.errors import HintprobeError
from experiments.records import Rollout
from experiments.records.files import MARKER
from experiments.records.stages import items_table, labels_table, rollouts_table, verdicts_table
from experiments.report import Run, read_run, write_report
from experiments.report.screenshot import chromium

ITEMS, ROUNDS = 5000, 5
_OWN_WORDS = 40
"""Of seven letters each: a text of its own of some 300 characters."""
SHOWN = ("hinted", "unhinted", "swapped")
"""Conditions that the item browser holds."""
_FILTER = """async ([name, value]) => {
  const field = document.querySelector(`#browser [name=${name}]`), started = performance.now();
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - started;
}"""
_PAINT = """() => new Promise((done) => new PerformanceObserver((list) => {
  const [paint] = list.getEntriesByName("first-contentful-paint");
  if (paint) done(paint.startTime);
}).observe({ type: "paint", buffered: true }))"""


def enlarge(run: Run, folder: Path, n: int, distinct: bool = False) -> Run:
    """Write a run with ``n`` labelled rollouts: those of a run's first model, again and again under new ids.

    Args:
        folder: an empty folder to write to.
        distinct: every copy's text goes on with words of its own.

    Raises:
        HintprobeError: the run has no labelled rollout.
    """
    model = run.summary.models[0]
    stages = model.stages
    if not {"generate", "judge"} <= stages.keys():
        raise HintprobeError(f"The run in {run.folder} has no judged rollouts. Give one whose judge stage is finished.")
    shutil.copytree(run.folder / model.folder, folder / model.folder)
    generated, judged = (folder / model.folder / stages[stage].folder for stage in ("generate", "judge"))
    labels = labels_table(judged).read()
    if not labels:
        raise HintprobeError(f"The run in {run.folder} has no labelled rollouts.")
    copies = range(-(-n // len(labels)))
    items, verdicts = items_table(generated).read(), verdicts_table(judged).read()
    rollouts = [rollout for rollout in rollouts_table(generated).read() if rollout.condition in SHOWN]

    def name(k: int, old: str) -> str:
        return f"{k}~{old}" if k else old

    def renamed(record: Any, k: int, *fields: str) -> Any:
        return record.model_copy(update={field: name(k, getattr(record, field)) for field in fields})

    items_table(generated).replace(renamed(item, k, "id") for k in copies for item in items)
    rng = random.Random(0)

    def copied(rollout: Rollout, k: int) -> Rollout:
        own: Rollout = renamed(rollout, k, "id", "item_id")
        if not distinct:
            return own
        more = " ".join(f"{rng.getrandbits(28):x}" for _ in range(_OWN_WORDS))
        return own.model_copy(update={"completion_text": f"{own.completion_text}\n{more}"})

    rollouts_table(generated).replace(copied(rollout, k) for k in copies for rollout in rollouts)
    verdicts_table(judged).replace(renamed(verdict, k, "rollout_id") for k in copies for verdict in verdicts)
    more = [renamed(label, k, "rollout_id", "item_id") for k in copies for label in labels]
    labels_table(judged).replace(more[:n])
    for changed in (generated, judged):
        (changed / MARKER).unlink(missing_ok=True)  # its checksums are of the tables as they were
    return Run(folder, run.summary.model_copy(update={"models": (model,)}))


def in_browser(page: Path, browser: str, rounds: int) -> dict[str, float]:
    """Medians over fresh windows, in milliseconds since navigation or since the input."""
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {}
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for _ in range(rounds):
            for name, value in _one_round(running, page).items():
                found.setdefault(name, []).append(value)
        running.close()
    return {name: round(statistics.median(values), 1) for name, values in found.items()}


def _one_round(browser: Any, path: Path) -> dict[str, float]:
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("#browser:not([hidden])", timeout=60_000)
    kind = page.locator("#browser [name=kind] option").nth(1).get_attribute("value")
    times = {
        "first_paint": page.evaluate(_PAINT),
        "items_ready": float(page.locator("#browser").get_attribute("data-ready-ms")),
        "filter_by_kind": page.evaluate(_FILTER, ["kind", kind]),
        "first_search": page.evaluate(_FILTER, ["text", "the"]),
        "next_search": page.evaluate(_FILTER, ["text", "answer"]),
    }
    page.close()
    return times


def run(source: Run, items: int, rounds: int, browser: str | None, distinct: bool = False) -> dict[str, Any]:
    """Write the page of an enlarged run, and open it where there is a browser."""
    with tempfile.TemporaryDirectory() as place:
        large = enlarge(source, Path(place) / "run", items, distinct)
        start = time.perf_counter()
        page = write_report([large], Path(place) / "report.html", "show")
        seconds = time.perf_counter() - start
        found = {"items": items, "write_seconds": round(seconds, 2), "megabytes": round(page.stat().st_size / 1e6, 2)}
        return {**found, "milliseconds": in_browser(page, browser, rounds) if browser else None}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--distinct", action="store_true", help="texts that do not repeat")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        found = run(read_run(options.run), options.items, options.rounds, chromium(), options.distinct)
    except HintprobeError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from error
    if options.json:
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
        return
    sys.stdout.write(f"{found['items']} items: written in {found['write_seconds']} s, {found['megabytes']} MB\n")
    if found["milliseconds"] is None:
        sys.stdout.write("In a browser: not measured, for Chromium or the package playwright is missing.\n")
    for name, value in (found["milliseconds"] or {}).items():
        sys.stdout.write(f"{name.replace('_', ' '):<16}{value:>9} ms\n")


if __name__ == "__main__":
    main()
