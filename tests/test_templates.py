"""What templates are told of the day, how they fail, and texts that have none; tokenizers that normalise text."""

import copy
import json
import shutil

import pytest
from test_chat_styles import CONVERSATION, FAMILIES, spelled, tokenizer_of

from activations.errors import HintprobeError
from experiments.planning.plan import _template_note
from experiments.prompts.chat import apply_template, render_chat, template_note
from experiments.records import Message, Prompt, Span


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def own_tokenizer(family, style):
    """One that may be changed."""
    return copy.deepcopy(tokenizer_of(family, style))


def base_model(family, adds):
    """A tokenizer without a chat template that begins every text with its token, or does not."""
    from tokenizers import processors

    tokenizer = own_tokenizer(family, "llama3")
    tokenizer.chat_template = None
    if adds:
        token = (tokenizer.bos_token, tokenizer.bos_token_id)
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{token[0]} $A", special_tokens=[token]
        )
    return tokenizer


@pytest.mark.parametrize("adds", [True, False])
def test_a_base_models_text_begins_as_its_tokenizer_means_it(family, adds):
    tokenizer = base_model(family, adds)
    ids = render_chat(tokenizer, CONVERSATION).encoded.ids
    assert ids.count(tokenizer.bos_token_id) == adds
    assert (ids[0] == tokenizer.bos_token_id) == adds
    assert "no chat template" in template_note(tokenizer)
    assert template_note(tokenizer_of(family, "llama3")) is None


def with_template(template):
    tokenizer = own_tokenizer("byte-level", "qwen3")
    tokenizer.chat_template = template
    return tokenizer


ASKED = [{"role": "user", "content": "Which?"}]


def test_a_templates_calendar_stands_still_whatever_its_format():
    codes = "%A %-d %B %Y, %d.%m.%y, %e, %H:%M:%S, %-I %p, %j, %F, %T, %b %a"
    text = apply_template(with_template("{{ strftime_now('" + codes + "') }}|{{ messages[0].content }}"), ASKED, {})
    assert text == (
        "Thursday 1 January 2026, 01.01.26,  1, 12:00:00, 12 PM, 001, 2026-01-01, 12:00:00, Jan Thu|Which?"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("{{ messages[0].content + [] }}", "TypeError"),
        ("{{ messages[7].content.strip() }}", "refuses the turns user"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{% if %}", "refuses the turns"),
        ({"chat": "x", "rag": "y"}, "several chat templates \\(chat, rag\\)"),
    ],
)
def test_a_template_that_fails_is_one_paragraph(template, named):
    with pytest.raises(HintprobeError, match=named) as refused:
        apply_template(with_template(template), ASKED, {})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sign", ["5 \u2126", "1.5 \u212b", "Fill the \u2581 gap", "e\u0301", "\ufb01ne"])
@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_a_tokenizer_that_normalises_text_is_not_refused(family, form, sign):
    from tokenizers import normalizers

    tokenizer = own_tokenizer(family, "qwen3")
    tokenizer.backend_tokenizer.normalizer = getattr(normalizers, form)()
    question = f"Take {sign} here?"
    prompt = Prompt(
        messages=(Message(role="user", content=f"Note. {question} Then?"),),
        spans={"question": Span(message=0, start=6, end=6 + len(question))},
    )
    rendered = render_chat(tokenizer, prompt)
    places = rendered.places["question"]
    assert rendered.encoded.text[slice(*rendered.characters["question"])] == question
    assert spelled(tokenizer, rendered, "question").strip().startswith("Take")
    assert 2 <= len(places) < len(rendered.encoded.ids)


def test_a_plan_says_that_a_chat_template_is_missing(tiny_folder, tmp_path):
    whole = tiny_folder("llama")
    assert _template_note(str(whole)) is None
    bare = tmp_path / "model"
    shutil.copytree(whole, bare)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((bare / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(settings))
    assert "no chat template" in _template_note(str(bare))
    assert _template_note("somebody/a-model-on-the-hub") is None
