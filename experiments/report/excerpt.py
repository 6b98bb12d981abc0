"""The demo's result as a few lines of Markdown: ``python -m experiments.report.excerpt RUN/summary.json --readme``."""

import argparse
import sys
from pathlib import Path

from experiments.records.comparison import Comparison, Frozen
from experiments.records.summary import Summary
from experiments.records.tables import write_atomically
from experiments.report.figure_text import show
from experiments.report.runs import read_run
from experiments.report.terminal import headline, verdict

BEGIN, END = "<!-- result -->", "<!-- end -->"
NOTE = (
    "AUROC compares rows of one kind and direction only, and thresholds are taken within them. `hint_kind` stands "
    "there to show what the kind alone gives; the report has every control."
)
SHOWN = (
    "probe_before_cot", "probe_within_cot", "probe_after_cot", "probe_within_cot_residual", "probe_within_cot_new_kind",
    "probe_unhinted_run", "judge_lexical", "causal_neutral", "forced_prompt_end", "cot_words", "direction_x_confidence",
    "prompt_words", "hint_kind",
)  # fmt: skip
"""The rows that a reader of the README needs; the report has all of them."""
README = Path(__file__).parents[2] / "README.md"


def excerpt(summary: Summary) -> str:
    """Headline, detector table and verdict of the first model; what was found on the others."""
    first, *others = summary.models
    comparison = first.comparison
    if comparison is None:
        return headline(first)
    lines = [
        "![The top of the demo's report](docs/images/report.png)",
        "",
        headline(first),
        "",
        "| detector | reads | AUROC, reliant against aligned | recall at 5% FPR | realised FPR | AUROC, hidden only |",
        "|---|---|---|---|---|---|",
    ]
    entries = sorted(comparison.detectors.items(), key=lambda pair: -(pair[1].auroc.value or 0))
    for name, entry in [pair for pair in entries if pair[0] in SHOWN]:
        hidden = comparison.hidden_detectors.get(name)
        lines.append(
            f"| `{name}` | {entry.reads} | {show(entry.auroc)} | {show(entry.recall_at_5pct)} | "
            f"{show(entry.realised_fpr_at_5pct)} | "
            f"{show(hidden.auroc) if hidden else '-'} |"
        )
    lines += ["", NOTE, "", verdict(comparison) or "", "", _findings(comparison), ""]
    for model in others:
        lines += [headline(model), "", _frozen(model.comparison.frozen if model.comparison else None)]
    return "\n".join(lines)


def _findings(comparison: Comparison) -> str:
    """What the rule for a find says of each probe."""
    said = [
        f"`{name}` {'is' if found.found else 'is not'} (p = {found.p_holm:.3f})"
        for name, found in comparison.findings.items()
        if found.p_holm is not None
    ]
    return (
        "A probe counts as found if its search is beyond permuted labels, if it is ahead of what could be known "
        "without the hint, and if it tells reliant from resisted rows, by one p-value adjusted over the probes: "
        f"{'; '.join(said)}."
    )


def _frozen(frozen: Frozen | None) -> str:
    if frozen is None:
        return ""
    share = frozen.share_over_threshold
    shares = "; ".join(f"`{name}` {show(entry)}" for name, entry in share.items() if name in SHOWN)
    return (
        f"Frozen on {frozen.trained_on}, at the threshold that 5% of their negatives exceeded, the detectors fire "
        f"on this share of its {frozen.rows} rows with a_h = h: {shares}."
    )


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
    readme = README.read_text(encoding="utf-8")
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomically(README, f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
