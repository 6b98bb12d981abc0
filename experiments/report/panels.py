"""The panels of a model's report, in order. To add one, write its file and its line (`docs/adding_a_panel.md`)."""

from activations.registry import Registry
from experiments.report.panel import Panel

FATES = Panel(
    "Rollouts by behaviour",
    '{% from "parts.html" import fates %}{{ fates(comparison, model.stages) }}'
    '{% set made = model.stages.get("generate") %}'
    '{% if made and made.account.engine.get("engine") == "transcripts" %}'
    '<p class="note">These are others’ transcripts, without swapped runs. A rollout is labelled reliant if the answer '
    "without the hint was another; whether the answer follows a moved hint was not tested.</p>{% endif %}",
)
FINDINGS = Panel(
    "What counts as found",
    '{% from "findings.html" import findings %}{{ findings(model.findings, model.rivals) }}',
)
DETECTORS = Panel(
    "Detectors compared on the same held-out rows",
    """{% from "detectors.html" import detector_tables, choices %}{% from "parts.html" import curves %}
{% if model.tables %}
{{ detector_tables(model.tables, comparison) }}
{{ curves(model.pictures) }}
{{ choices(comparison) }}
{% else %}
<p class="missing">No detectors were trained: {{ comparison.counts.reliant }} reliant and
{{ comparison.counts.aligned }} aligned rows, and {{ model.min_per_class }} of each are needed.</p>
{% endif %}""",
)
MAPS = Panel(
    "Where probes read reliance: sites and positions",
    """{% from "parts.html" import maps %}
{% if comparison is none %}
<p class="none">The map of sites and positions needs the compare stage.</p>
{% else %}
{{ maps(model.pictures, model.unprobed) }}
{% endif %}""",
    compared=False,
)
TRANSFER = Panel(
    "Transfer to new kinds, directions and positions",
    """{% from "findings.html" import transfer %}
{{ transfer(model.unseen, model.crossed, model.uncrossed, model.pictures) }}""",
)
PATCHING = Panel(
    "Activation patching",
    '{% from "parts.html" import patching %}{{ patching(model.patch, model.pictures.get("patching")) }}',
    compared=False,
)
MEDIATION = Panel(
    "Mediation: through the text or not",
    '{% from "causal.html" import mediation %}{{ mediation(model.mediation) }}',
    compared=False,
)
DIRECTIONS = Panel(
    "Does the model use the direction that a probe reads?",
    '{% from "causal.html" import directions %}{{ directions(model.directions) }}',
    compared=False,
)
KINDS = Panel(
    "Kind and direction of the hint",
    '{% from "kinds.html" import kinds %}{{ kinds(comparison, model.strata, model.pictures, model.refusals) }}',
)
EFFECTS = Panel("What the hint does to answers", '{% from "parts.html" import effects %}{{ effects(comparison) }}')
TARGETS = Panel("Further targets", '{% from "findings.html" import targets %}{{ targets(model.targets) }}')
FROZEN = Panel(
    "Detectors frozen on another model",
    '{% from "parts.html" import frozen %}{{ frozen(comparison.frozen, model.frozen) }}',
)
PROVENANCE = Panel("Time and provenance", '{% from "parts.html" import times %}{{ times(model) }}', compared=False)

PANELS: Registry[Panel] = Registry(
    "panel of the report",
    {
        "fates": "experiments.report.panels:FATES",
        "answered": "experiments.report.answered:ANSWERED",
        "judges": "experiments.report.judges:JUDGES",
        "findings": "experiments.report.panels:FINDINGS",
        "detectors": "experiments.report.panels:DETECTORS",
        "monitoring": "experiments.report.monitoring:MONITORING",
        "maps": "experiments.report.panels:MAPS",
        "transfer": "experiments.report.panels:TRANSFER",
        "patching": "experiments.report.panels:PATCHING",
        "mediation": "experiments.report.panels:MEDIATION",
        "directions": "experiments.report.panels:DIRECTIONS",
        "kinds": "experiments.report.panels:KINDS",
        "effects": "experiments.report.panels:EFFECTS",
        "targets": "experiments.report.panels:TARGETS",
        "graded": "experiments.report.graded:GRADED",
        "frozen": "experiments.report.panels:FROZEN",
        "provenance": "experiments.report.panels:PROVENANCE",
    },
)
