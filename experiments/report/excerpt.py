"""The demo's result as the README shows it: ``python -m experiments.report.excerpt RUN/summary.json --readme``."""

import argparse
import sys
from pathlib import Path

from experiments.records.files import write_marked
from experiments.records.summary import Summary
from experiments.report.brief import brief
from experiments.report.runs import read_run

MARK = "result"
README = Path(__file__).parents[2] / "README.md"


def excerpt(summary: Summary) -> str:
    """The terminal's text, and the picture of the report."""
    text = "\n".join(brief(summary))
    return f"```text\n{text}\n```\n\n![The top of the demo's report](docs/images/report.png)"


def main() -> None:
    """Print the excerpt, or put it between the README's markers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("summary", type=Path)
    parser.add_argument("--readme", action="store_true", help="write it into README.md")
    options = parser.parse_args()
    text = excerpt(read_run(options.summary).summary)
    if not options.readme:
        sys.stdout.write(text + "\n")
        return
    write_marked(README, MARK, text)


if __name__ == "__main__":
    main()
