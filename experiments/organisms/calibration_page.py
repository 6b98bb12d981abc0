"""A calibration as Markdown: what there is to find, who finds it, who is fooled, what passes from one to another."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.comparison.findings import ALPHA
from experiments.organisms.calibration import MENTION
from experiments.records.files import write_marked

MARK = "calibration"
NOMINAL = 0.05
"""The false-positive rate at which frozen detectors fire on the organism that they were trained on."""

DETECTORS = {
    "judge_lexical": "lexical judge, for an admission",
    MENTION: "… for any mention",
    "prompt_words": "bag of words of the prompt",
    "prompt_forest": "random forest on the prompt's words",
    "cot_words": "bag of words of CoT and answer",
    "cot_tfidf": "word pairs of CoT and answer",
    "cot_masked": "… mentions of the hint removed",
    "confidence": "unhinted confidence",
    "direction_x_confidence": "direction × unhinted confidence",
    "forced_prompt_end": "forced answer at the prompt's end",
    "forced_cot": "forced answer along the CoT",
    "probe_unhinted_run": "probe of the unhinted run (control)",
    "probe_before_cot": "probe before the CoT",
    "probe_before_cot_residual": "… minus the confounds",
    "probe_within_cot": "probe inside the CoT",
    "probe_within_cot_residual": "… minus the confounds",
    "probe_after_cot": "probe after the CoT",
    "probe_after_cot_residual": "… minus the confounds",
    "causal_neutral": "causal score",
}
_BEFORE = ("prompt_words", "confidence", "direction_x_confidence", "forced_prompt_end", "probe_before_cot")
_PROBES = ("probe_before_cot", "probe_within_cot", "probe_after_cot")
_FROZEN = ("prompt_words", "cot_words", *_PROBES)
Organisms = Mapping[str, Mapping[str, Any]]


def page_text(found: Mapping[str, Any]) -> str:
    """The marked part of the page."""
    organisms: Organisms = found["organisms"]
    relying = {name: entry for name, entry in organisms.items() if entry["detectors"]}
    others = {name: entry for name, entry in organisms.items() if not entry["detectors"]}
    parts = [
        f"{found['questions']} held-out questions per organism (seed {found['seed']}), one kind and direction each.",
        "### What there is to find",
        _truths(organisms),
        "### Reliant against aligned",
        "AUROC within kind × direction with 95% cluster-bootstrap intervals. An asterisk marks a probe whose interval "
        "lies above one half but which fails a control, so it does not count as found.",
        _main(relying),
        "### Reliant against resisted, before the chain of thought",
        _follow(relying),
    ]
    if others:
        parts += [
            "### Organisms that never rely: false positives",
            "Share of rows with a_h = h on which detectors trained on another organism fire, at the threshold that "
            f"{NOMINAL:.0%} of that organism's negatives exceeded. An asterisk marks an interval above that rate.",
            _false_positives(others, found["transfer"]),
        ]
    parts += ["### Which detectors are misled, and which errors a control prevented", _verdicts(found)]
    for probe in _PROBES:
        if any(probe in pair["auroc"] for pairs in found["transfer"].values() for pair in pairs.values()):
            parts += [f"### From organism to organism: {DETECTORS[probe]}", _transfer(probe, found)]
    return "\n\n".join(parts)


def write_page(page: Path, found: Mapping[str, Any]) -> None:
    """Put the tables between the page's marks.

    Raises:
        HintprobeError: no such page, or one without marks.
    """
    write_marked(page, MARK, page_text(found))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def _cell(figure: Mapping[str, Any] | None, mark: str = "") -> str:
    if figure is None or figure.get("value") is None:
        return "–"
    interval = "" if figure["low"] is None else f" [{figure['low']:.2f}, {figure['high']:.2f}]"
    return f"{figure['value']:.2f}{mark}{interval}"


def _code(names: Sequence[str] | Mapping[str, Any]) -> list[str]:
    return [f"`{name}`" for name in names]


def _truths(organisms: Organisms) -> str:
    rows = []
    for name, entry in organisms.items():
        counts = entry["counts"]
        told = ", ".join(f"{counts[key]} {key}" for key in ("reliant", "aligned", "resisted"))
        rows.append((f"`{name}`", entry["truth"].replace("\n", " "), told))
    return _table(("organism", "truth", "rows"), rows)


def _figure(entry: Mapping[str, Any], detector: str) -> Mapping[str, Any] | None:
    source = entry["mention"] if detector == MENTION else entry["detectors"].get(detector, {})
    figure: Mapping[str, Any] | None = source.get("auroc")
    return figure


def _misled(entry: Mapping[str, Any], detector: str) -> bool:
    """A probe that one would believe by its interval alone, and that fails a control."""
    finding = entry["detectors"].get(detector, {}).get("finding")
    figure = _figure(entry, detector)
    return finding is not None and not finding["found"] and _above(figure, 0.5)


def _above(figure: Mapping[str, Any] | None, value: float) -> bool:
    return figure is not None and figure.get("low") is not None and bool(figure["low"] > value)


def _main(organisms: Organisms) -> str:
    rows = []
    for detector, title in DETECTORS.items():
        figures = [_figure(entry, detector) for entry in organisms.values()]
        if any(figures):
            marks = ["\\*" if _misled(entry, detector) else "" for entry in organisms.values()]
            cells = [_cell(figure, mark) for figure, mark in zip(figures, marks, strict=True)]
            rows.append((title, *cells))
    return _table(("detector", *_code(organisms)), rows)


def _follow(organisms: Organisms) -> str:
    rows = []
    for detector in _BEFORE:
        entries = [entry["will_follow"]["detectors"].get(detector) for entry in organisms.values()]
        if any(entries):
            rows.append((DETECTORS[detector], *(_cell(e["auroc"]) if e else "–" for e in entries)))
    return _table(("detector", *_code(organisms)), rows)


def _fired(others: Organisms, transfer: Mapping[str, Any]) -> Iterator[tuple[str, str, list[Any]]]:
    """Trainer, detector and its shares on each organism that never relies."""
    for trainer, pairs in transfer.items():
        shares = [pairs[name]["share_over_threshold"] for name in others]
        for detector in DETECTORS:
            if detector in _FROZEN and any(detector in own for own in shares):
                yield trainer, detector, [own.get(detector) for own in shares]


def _false_positives(others: Organisms, transfer: Mapping[str, Any]) -> str:
    rows = []
    readers: dict[str, list[Any]] = {"judge_lexical": [], MENTION: []}
    for name, entry in others.items():
        own: Mapping[str, Any] = next((p[name]["share_over_threshold"] for p in transfer.values() if name in p), {})
        readers["judge_lexical"].append(own.get("judge_lexical"))
        readers[MENTION].append(entry["mention"]["share"])
    for detector, figures in readers.items():
        rows.append((DETECTORS[detector], "–", *(_cell(f, _mark(f)) for f in figures)))
    for trainer, detector, figures in _fired(others, transfer):
        rows.append((DETECTORS[detector], f"`{trainer}`", *(_cell(f, _mark(f)) for f in figures)))
    return _table(("detector", "trained on", *_code(others)), rows)


def _mark(figure: Mapping[str, Any] | None) -> str:
    return "\\*" if _above(figure, NOMINAL) else ""


def _verdicts(found: Mapping[str, Any]) -> str:
    lines = []
    for name, entry in found["organisms"].items():
        told = list(_blind(entry)) + list(_believed(entry)) + list(_fooled(name, entry, found["transfer"]))
        lines.append(f"- `{name}`: {' '.join(told) if told else 'no detector is fooled.'}")
    return "\n".join(lines)


def _blind(entry: Mapping[str, Any]) -> Iterator[str]:
    """Detectors that read text and see nothing, where there is reliance."""
    readers = ("judge_lexical", MENTION, "cot_words", "cot_tfidf", "prompt_words", "prompt_forest")
    known = [(name, _figure(entry, name)) for name in readers]
    unseen = [f"{DETECTORS[n].lstrip('… ')} ({_cell(f)})" for n, f in known if f and not _above(f, 0.5)]
    if unseen:
        yield f"Sees nothing: {'; '.join(unseen)}."


def _believed(entry: Mapping[str, Any]) -> Iterator[str]:
    """Probes whose figure alone would have been believed, and the controls that stop it."""
    for probe in _PROBES:
        if not _misled(entry, probe):
            continue
        finding = entry["detectors"][probe]["finding"]
        why = []
        beaten = [other for other, lead in finding["rivals"].items() if lead["p"] is None or lead["p"] > ALPHA]
        if beaten:
            why.append("is not ahead of " + ", ".join(f"`{other}`" for other in beaten))
        if finding["p_search"] is None or finding["p_search"] > ALPHA:
            why.append("is not beyond the same search on permuted labels")
        if finding["belief"]["p"] is None or finding["belief"]["p"] > ALPHA:
            why.append("does not separate reliant from resisted rows")
        figure = _cell(_figure(entry, probe))
        yield f"Would have been believed without its controls: {DETECTORS[probe]} ({figure}), which {'; '.join(why)}."


def _fooled(name: str, entry: Mapping[str, Any], transfer: Mapping[str, Any]) -> Iterator[str]:
    """What fires where nothing relies."""
    if entry["detectors"]:
        return
    fooled = []
    if _above(entry["mention"]["share"], NOMINAL):
        fooled.append(f"a judge that takes mentions for admissions ({_cell(entry['mention']['share'])})")
    for trainer, detector, (figure,) in _fired({name: entry}, transfer):
        if _above(figure, NOMINAL):
            fooled.append(f"{DETECTORS[detector]} of `{trainer}` ({_cell(figure)})")
    if fooled:
        yield f"Fires although the organism never relies: {'; '.join(fooled)}."


def _transfer(probe: str, found: Mapping[str, Any]) -> str:
    """Rows: trained on; columns: read on. AUROC where the organism relies, else the share over the threshold."""
    names = list(found["organisms"])
    rows = []
    for trainer, pairs in found["transfer"].items():
        cells = []
        for name in names:
            if name == trainer:
                cells.append(_cell(_figure(found["organisms"][name], probe)))
                continue
            own = pairs[name]
            fired = own["share_over_threshold"].get(probe)
            cells.append(_cell(own["auroc"][probe]) if probe in own["auroc"] else f"fires {_cell(fired)}")
        rows.append((f"`{trainer}`", *cells))
    return _table(("trained on", *_code(names)), rows)
