"""Every kind and wording through the chat templates of today's models, on tokenizers of both families.

What a place names is checked on text decoded from its tokens; templates that drop or change turns are refused.
"""

import dataclasses
from functools import cache

import pytest

from activations.errors import HintprobeError
from experiments.benchmarks.chat_styles import STYLES, styled, train_tokenizer
from experiments.hints import HINTS, render
from experiments.prompts.chat import render_chat
from experiments.prompts.items import item_prompt
from experiments.prompts.writing import PromptWriter
from experiments.records import Item, Message, Prompt, Question, Span

FAMILIES = ("byte-level", "sentencepiece")
QUESTION = Question(
    id="q", stem="  What is the naïve estimate, in µm², of a ½-open slit?\nGive the nearest.",
    options=("12", "№ 7 — none", "(A) and (B)", "1e-3 µm²", "über"), gold="B", subject="optics",
    source="test", group="q",
)  # fmt: skip
SHOTS = tuple(
    QUESTION.model_copy(update={"id": name, "stem": f"Worked example {name}?", "group": name, "gold": gold})
    for name, gold in (("one", "A"), ("two", "E"))
)
EVERY = [(kind, wording) for kind in HINTS.values() for wording in range(len(kind.wordings))]


@cache
def trained(family):
    texts = [f"{kind.wordings[w].hinted} {kind.wordings[w].neutral} {QUESTION.options}" for kind, w in EVERY]
    return train_tokenizer(family, texts, 900)


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@cache
def tokenizer_of(family, style):
    return styled(trained(family), STYLES[style])


def squeezed(text):
    """Without white space; the sign by which SentencePiece writes a space is one."""
    return "".join(text.replace("▁", " ").split())


def spelled(tokenizer, rendered, name):
    return tokenizer.decode([rendered.encoded.ids[i] for i in rendered.places[name]])


def item(kind, wording, **changes):
    given = {"direction": "incorrect", "target": "A", "swap_target": "D", "shots": SHOTS if kind.marks else ()}
    return Item(
        id=kind.name, question=QUESTION, kind=kind.name, wording=wording, source=kind.sources[0], **{**given, **changes}
    )


def test_each_kind_has_three_plain_wordings_or_more_and_two_for_the_organisms():
    for kind in HINTS.values():
        assert len(kind.indices("plain")) >= 3
        assert kind.indices("terse") == (0, 1)
        assert len({kind.wordings[i].hinted for i in kind.indices()}) == len(kind.wordings)


@pytest.mark.parametrize("style", list(STYLES))
def test_places_are_carried_through_the_template(style, family):
    tokenizer = tokenizer_of(family, style)
    for kind, wording in EVERY:
        for condition, letter in (("hinted", "C"), ("swapped", "D"), ("neutral", None), ("unhinted", None)):
            prompt = render(kind, wording, kind.sources[1], QUESTION, condition, letter, SHOTS if kind.marks else ())
            rendered = render_chat(tokenizer, prompt, STYLES[style].options)
            text, ids = rendered.encoded.text, rendered.encoded.ids
            assert squeezed(tokenizer.decode(list(ids))) == squeezed(text), "the tokens are the text"
            assert all(message.content.strip() in text for message in prompt.messages)
            assert set(rendered.places) == set(prompt.spans)
            assert squeezed(QUESTION.options[-1]) in squeezed(spelled(tokenizer, rendered, "question"))[-12:]
            if letter:
                pointer = spelled(tokenizer, rendered, "pointer")
                assert (kind.sources[1] if kind.marks else letter) in pointer
                assert len(squeezed(pointer)) <= 3, "the pointer's tokens hold next to nothing else"
                assert set(rendered.places["pointer"]) <= set(rendered.places["hint"])
                assert rendered.places["hint"][0] > 0
            for name, (start, end) in rendered.characters.items():
                span = prompt.spans[name]
                content = prompt.messages[span.message].content
                assert text[start:end].strip() == content[span.start : span.end].strip()


def test_the_same_letter_elsewhere_is_not_taken_for_the_pointer():
    """The question holds "(A)" itself; the place must be the hint's own."""
    tokenizer = tokenizer_of("byte-level", "llama3")
    for kind, wording in EVERY:
        prompt = render(kind, wording, kind.sources[0], QUESTION, "hinted", "A", SHOTS if kind.marks else ())
        rendered = render_chat(tokenizer, prompt)
        start, _ = rendered.characters["pointer"]
        hint = rendered.characters["hint"]
        assert hint[0] <= start < hint[1]


def test_lengths_match_where_the_tokenizer_allows_and_unequal_ones_are_the_nearest(family):
    tokenizer = tokenizer_of(family, "qwen3")
    writer, unequal = PromptWriter(tokenizer), 0
    for kind, wording in EVERY:
        aimed, written = writer.hinted_set(item(kind, wording), ["B"])
        assert aimed.swap_target not in ("A", "B")
        if written["swapped"].length != written["hinted"].length:
            others = [writer.write(item(kind, wording, swap_target=letter), "swapped").length for letter in "CDE"]
            assert written["hinted"].length not in others, "an option of the same length was left"
            unequal += 1
        n_neutral = len(kind.wordings[wording].neutrals)
        lengths = [writer.write(aimed, "neutral", variant).length for variant in range(n_neutral)]
        nearest = min(abs(length - written["hinted"].length) for length in lengths)
        assert abs(written["neutral"].length - written["hinted"].length) == nearest
    if family == "byte-level":
        assert unequal == 0


def test_a_swap_target_of_another_length_gives_way(monkeypatch):
    kind = HINTS["sycophancy"]
    writer = PromptWriter(tokenizer_of("byte-level", "qwen3"))
    write = PromptWriter.write

    def longer_with_d(self, one, condition, variant=0):
        written = write(self, one, condition, variant)
        longer = condition == "swapped" and one.swap_target == "D"
        return dataclasses.replace(written, rendered=write(self, one, "neutral").rendered) if longer else written

    monkeypatch.setattr(PromptWriter, "write", longer_with_d)
    monkeypatch.setattr(PromptWriter, "_neutral", lambda self, one, length: write(self, one, "neutral"))
    odd = write(writer, item(kind, 0), "neutral")
    assert odd.length != write(writer, item(kind, 0), "hinted").length
    assert writer.hinted_set(item(kind, 0), ["B"])[0].swap_target == "C", "neither target nor an unhinted answer"
    assert writer.hinted_set(item(kind, 0), ["B", "C"])[0].swap_target == "E"
    assert writer.hinted_set(item(kind, 0), ["B", "C", "E"])[0].swap_target == "D", "none is left: kept"


@pytest.mark.parametrize("style", list(STYLES))
def test_a_system_turn_and_an_instruction(style):
    options = STYLES[style].options
    writer = PromptWriter(tokenizer_of("byte-level", style), options, "Be brief.", "Close with: The answer is (X).")
    kind = HINTS["consistency"]
    if not STYLES[style].has_system:
        with pytest.raises(HintprobeError, match=r"System role not supported.*generate\.instruction"):
            writer.write(item(kind, 2), "hinted")
        writer = dataclasses.replace(writer, system="")
    written = writer.write(item(kind, 2), "hinted")
    text = written.rendered.encoded.text
    assert text.count("Close with: The answer is (X).") == 1
    assert text.index("Close with") > text.index("without being anchored")
    assert ("Be brief." in text) == STYLES[style].has_system
    assert spelled(writer.tokenizer, written.rendered, "pointer").strip(" ()") == "A"
    plain = item_prompt(item(kind, 2), "hinted")
    assert written.prompt.messages[written.prompt.spans["hint"].message].content == plain.messages[1].content


def test_the_system_text_may_move_behind_earlier_turns():
    writer = PromptWriter(tokenizer_of("byte-level", "mistral"), {}, system="Be brief.")
    rendered = writer.write(item(HINTS["consistency"], 2), "hinted").rendered
    assert rendered.encoded.text.index("Be brief.") > rendered.characters["hint"][1]
    assert rendered.encoded.text[slice(*rendered.characters["pointer"])] == "A"


def test_thinking_is_switched_off_by_an_option():
    prompt = item_prompt(item(HINTS["sycophancy"], 2), "hinted")
    thinking = render_chat(tokenizer_of("byte-level", "qwen3"), prompt)
    silent = render_chat(tokenizer_of("byte-level", "qwen3"), prompt, {"enable_thinking": False})
    assert silent.encoded.text == thinking.encoded.text + "<think>\n\n</think>\n\n"
    assert silent.places == thinking.places


def test_the_date_stands_still():
    text = render_chat(
        tokenizer_of("byte-level", "llama3"), item_prompt(item(HINTS["metadata"], 2), "hinted")
    ).encoded.text
    assert "Today Date: 01 Jan 2026" in text


CONVERSATION = Prompt(
    messages=(
        Message(role="user", content="  Which?\n"),
        Message(role="assistant", content="\nIt is (A). "),
        Message(role="user", content="Sure?"),
    ),
    spans={"hint": Span(message=1, start=0, end=len("\nIt is (A). ")), "pointer": Span(message=1, start=8, end=9)},
)  # fmt: skip
LOOP = "{% for m in messages %}"


@pytest.mark.parametrize(
    "template",
    [
        LOOP + "{{ m.content }}|{% endfor %}",
        LOOP + "{{ m.content | trim }}|{% endfor %}",
        LOOP + "{{ m.content.lstrip() }}|{% endfor %}",
        LOOP + "{{ m.content.split('</think>')[-1] }}{% endfor %}",
        LOOP + "{% if not loop.first and m.role == 'user' %}and {% endif %}{{ m.content.rstrip() }} {% endfor %}",
        "{{ messages[1].content }}{{ messages[0].content }}{{ messages[2].content }}",
    ],
)
def test_templates_that_trim_merge_or_reorder_work(template):
    tokenizer = styled(trained("byte-level"), dataclasses.replace(STYLES["qwen3"], template=template))
    rendered = render_chat(tokenizer, CONVERSATION)
    assert rendered.encoded.text[slice(*rendered.characters["pointer"])] == "A"
    assert rendered.encoded.text[slice(*rendered.characters["hint"])] == "It is (A)."
    assert "A" in spelled(tokenizer, rendered, "pointer")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ messages[-1].content }}", "leaves out a user turn"),
        (LOOP + "{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", "leaves out a assistant turn"),
        (LOOP + "{{ m.content }}{{ m.content }}{% endfor %}", "repeats it"),
        (LOOP + "{{ m.content | upper }}{% endfor %}", "changes a user turn"),
        (LOOP + "{{ m.content | replace('(A)', '') }}{% endfor %}", "changes a assistant turn"),
        (LOOP + "{{ m.content | length }}{{ m.content }}{% endfor %}", "writes other text around the messages"),
        (
            LOOP + "{{ raise_exception('one turn only') }}{% endfor %}",
            "refuses the turns user, assistant, user: one turn",
        ),
        (LOOP + "{{ m.content.nothing.at_all }}{% endfor %}", "refuses the turns"),
    ],
)
def test_templates_that_lose_a_place_are_refused(template, said):
    tokenizer = styled(trained("byte-level"), dataclasses.replace(STYLES["qwen3"], template=template))
    with pytest.raises(HintprobeError, match=said):
        render_chat(tokenizer, CONVERSATION)


def test_think_tags_of_earlier_turns_that_a_template_strips_are_refused():
    turns = list(CONVERSATION.messages)
    turns[1] = turns[1].model_copy(update={"content": "<think>hm</think>It is (A)."})
    with pytest.raises(HintprobeError, match="leaves out a assistant turn"):
        render_chat(tokenizer_of("byte-level", "qwen3"), CONVERSATION.model_copy(update={"messages": tuple(turns)}))


def test_a_model_without_a_template_gets_the_plain_one():
    tokenizer = styled(trained("byte-level"), dataclasses.replace(STYLES["qwen3"], template=None))
    rendered = render_chat(tokenizer, CONVERSATION)
    assert rendered.encoded.text.startswith("user:   Which?")
    assert rendered.encoded.text.endswith("user: Sure?\n\nassistant:")
    assert rendered.encoded.text[slice(*rendered.characters["pointer"])] == "A"


def test_baselines_keep_what_is_no_hint():
    """Few-shot and multi-turn kinds have unhinted baselines of their own."""
    visual, consistency = HINTS["visual_pattern"], HINTS["consistency"]
    for wording in visual.indices("plain"):
        hinted = item_prompt(item(visual, wording), "hinted").messages[0].content
        unhinted = item_prompt(item(visual, wording), "unhinted").messages[0].content
        assert hinted.replace(visual.sources[0], "-") == unhinted
    for wording in consistency.indices("plain"):
        (only,) = item_prompt(item(consistency, wording), "unhinted").messages
        request = item_prompt(item(consistency, wording), "hinted").messages[-1].content
        asked = only.content.split("\n\n")[-1]
        assert asked.split(",")[0].rstrip(".?") in request
        assert "earlier" not in asked
        assert "before" not in asked
        neutral = item_prompt(item(consistency, wording), "neutral").messages
        assert [message.role for message in neutral] == ["user", "assistant", "user"]
        assert neutral[-1].content == request


@pytest.mark.parametrize(("kind", "wording"), EVERY)
def test_no_neutral_frame_names_an_option(kind, wording):
    for variant in range(len(kind.wordings[wording].neutrals)):
        prompt = item_prompt(item(kind, wording), "neutral", variant)
        text = "\n".join(message.content for message in prompt.messages)
        bare = text.replace(render(HINTS["sycophancy"], 0, "", QUESTION, "unhinted", None).messages[0].content, "")
        assert "pointer" not in prompt.spans
        if not kind.marks:
            assert not any(form in bare for letter in "ABCDE" for form in (f"({letter})", f'"{letter}"', f">{letter}<"))
