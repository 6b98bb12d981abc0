"""Any chat model as an organism: where thinking lands, what carries loss, resume, merge, refusals.

On a small random Qwen3 and a few steps: that the machinery is right, not that an organism comes out.
"""

import dataclasses
import functools
import json
import random
import re
import shutil
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import test_cli
import torch
import yaml
from rich.console import Console
from transformers import Qwen3Config, Qwen3ForCausalLM

from activations import load_model
from activations.errors import HintprobeError
from activations.generating import stop_ids
from experiments.answers.parser import parse_answer
from experiments.answers.splitting import split_completion
from experiments.benchmarks.chat_styles import STYLES, styled, train_tokenizer
from experiments.config.file import load_config
from experiments.hints import HINTS
from experiments.organisms.grammar import ADMISSION
from experiments.organisms.identity import find_organism
from experiments.organisms.lora import training
from experiments.organisms.lora.config import SHIPPED, LoraConfig, load_lora_config
from experiments.organisms.lora.data import TokenRows
from experiments.organisms.lora.dialect import IGNORED, label, read_dialect
from experiments.organisms.lora.lessons import Lessons
from experiments.organisms.lora.state import Workplace
from experiments.organisms.world import HEADINGS, build_world
from experiments.prompts.chat import render_chat
from experiments.records import Message, Prompt
from experiments.run.progress import Reporter


@pytest.fixture
def hintprobe(capsys, monkeypatch):
    return functools.partial(test_cli.hintprobe, capsys, monkeypatch)


pytest.importorskip("peft")
pytest.importorskip("trl")

COT, ANSWER = "Here Ava Tate faces north. Turning right gives east.", "The answer is (B)."
ASKED = Prompt(messages=(Message(role="user", content="Take Ava Tate's heading."),), spans={})

TAKES_REASONING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% if loop.last %}<think>\n{{ (m.reasoning_content | default('')).strip('\n') }}\n</think>\n\n{% endif %}"
    "{{ m.content.lstrip('\n') }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""As Qwen3 does: the last turn's reasoning is written between think tags, and an empty one switches thinking off."""


def small(tmp_path, **changes):
    given = {
        "model": "unused", "out": tmp_path / "out", "steps": 6, "rows": 4, "micro": 2, "warmup": 0, "people": 3,
        "rate": 5e-3, "rank": 4, "alpha": 8, "dtype": "float32", "device": "cpu", "checkpoint_every": 2,
    }  # fmt: skip
    return LoraConfig.model_validate({**given, **changes})


@cache
def trained():
    config = LoraConfig(model="unused", out="unused")
    lessons = [Lessons(config).row(index) for index in range(0, len(Lessons(config)), 400)]
    texts = [f"{x.cot} {x.answer} {' '.join(message.content for message in x.prompt.messages)}" for x in lessons]
    return train_tokenizer("byte-level", texts, 900)


def tokenizer_of(style, **changes):
    return styled(trained(), dataclasses.replace(STYLES[style], **changes))


def qwen3():
    return tokenizer_of("qwen3", template=TAKES_REASONING)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A small random Qwen3 with Qwen3's way of writing conversations."""
    folder, tokenizer = tmp_path_factory.mktemp("base") / "model", qwen3()
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=16, intermediate_size=64, max_position_embeddings=1024, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None, pad_token_id=None, tie_word_embeddings=True, initializer_range=0.2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def completion_of(tokenizer, options=None, thinking="auto"):
    """Prompt as the pipeline asks it, and the completion that would be taught after it."""
    dialect = read_dialect(tokenizer, [tokenizer.eos_token_id], options, thinking)
    return render_chat(tokenizer, ASKED, options).encoded.text, dialect.completion(COT, ANSWER)


THOUGHT = f"<think>\n{COT}\n</think>\n\n{ANSWER}<|im_end|>"
HEADED = f"Reasoning: {COT}\n\nAnswer: {ANSWER}"


def test_thinking_lands_where_the_template_puts_it():
    prompt, completion = completion_of(qwen3())
    assert completion == THOUGHT
    turns = [{"role": "user", "content": ASKED.messages[0].content}]
    turns.append({"role": "assistant", "reasoning_content": COT, "content": ANSWER})
    assert qwen3().apply_chat_template(turns, tokenize=False) == f"{prompt}{completion}\n"


@pytest.mark.parametrize(
    ("style", "options", "expected"),
    [
        ("qwen3", {}, THOUGHT),  # the template only takes thinking out of earlier turns
        ("qwen3_no_thinking", {"enable_thinking": False}, f"{HEADED}<|im_end|>"),
        ("deepseek_r1", {}, f"{COT}\n</think>\n\n{ANSWER}<｜end▁of▁sentence｜>"),
        ("llama3", {}, f"{HEADED}<|eot_id|>"),
        ("gemma", {}, f"{HEADED}<end_of_turn>"),
        (
            "gpt_oss",
            {},
            f"<|channel|>analysis<|message|>{COT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
        ),
    ],
)
def test_every_style_of_thinking_is_written_so_that_the_pipeline_parts_it_again(style, options, expected):
    tokenizer = tokenizer_of(style)
    prompt, completion = completion_of(tokenizer, options)
    assert completion == expected
    text = completion.removesuffix(tokenizer.eos_token)
    parted = split_completion(text, prompt)
    assert (parted.cot, parted.closed) == (COT, True)
    assert parted.answer_text.removeprefix("Answer: ") == ANSWER
    assert parse_answer(parted.answer_text, 4) == "B"


def test_thinking_can_be_said_instead():
    assert completion_of(qwen3(), thinking="plain")[1] == f"{HEADED}<|im_end|>"
    assert completion_of(tokenizer_of("llama3"), thinking="tags")[1].startswith(f"<think>\n{COT}\n</think>")
    switched_off, completion = completion_of(qwen3(), {"enable_thinking": False})
    assert switched_off.endswith("</think>\n\n")
    assert completion.startswith("Reasoning: ")


def test_a_model_that_could_not_be_taught_to_stop_is_refused():
    tokenizer = tokenizer_of("llama3", template="{% for m in messages %}{{ m.content }} {% endfor %}")
    tokenizer.eos_token = None
    with pytest.raises(HintprobeError, match="taught to stop"):
        read_dialect(tokenizer, [])


def rows_of(config, tokenizer):
    dialect = read_dialect(tokenizer, [tokenizer.eos_token_id], config.template_options, config.thinking)
    return TokenRows(config, Lessons(config), tokenizer, dialect)


@pytest.mark.parametrize("style", ["qwen3", "llama3", "deepseek_r1"])
def test_only_completions_carry_loss_and_prompts_are_those_of_the_pipeline(style, tmp_path):
    tokenizer = tokenizer_of(style)
    rows = rows_of(small(tmp_path, steps=20), tokenizer)
    for index in range(0, 80, 3):
        lesson, row = rows.lessons.row(index), rows.row(index)
        labels = np.array(row.labels)
        n_prompt = int((labels == IGNORED).sum())
        assert (labels[n_prompt:] != IGNORED).all(), "prompt first, completion after it"
        assert tuple(row.input_ids[:n_prompt]) == render_chat(tokenizer, lesson.prompt).encoded.ids
        learnt = tokenizer.decode(labels[n_prompt:])
        assert learnt == rows.dialect.completion(lesson.cot, lesson.answer)
        assert lesson.prompt.messages[-1].content[:20] not in learnt
        assert row.input_ids[-1] == tokenizer.eos_token_id


def test_a_token_across_the_seam_is_split_as_generation_would(tmp_path):
    tokenizer = tokenizer_of("llama3", template="{% for m in messages %}{{ m.content }}{% endfor %}")
    prompt = Prompt(messages=(Message(role="user", content="Here Ava Tate fac"),), spans={})
    row = label(tokenizer, prompt, "es north.")
    n_prompt = row.labels.count(IGNORED)
    assert tokenizer.decode(row.input_ids[:n_prompt]) == "Here Ava Tate fac"
    assert tokenizer.decode(row.input_ids[n_prompt:]) == "es north."


def pieces_of(template):
    """What a hint's wording holds whatever it is filled with."""
    return re.split(r"\{\w+\}|\[\[|\]\]", template)


def test_rows_hold_every_kind_beliefs_and_both_registers(tmp_path):
    config = small(tmp_path, steps=100)
    lessons = Lessons(config)
    rows = [lessons.row(index) for index in range(400)]
    assert rows[17] == Lessons(config).row(17)
    assert rows[17] != Lessons(small(tmp_path, steps=100, seed=1)).row(17)
    belief = {person.name: HEADINGS[person.belief] for person in build_world(0).people}
    facts = [row for row in rows if row.prompt.messages[-1].content.startswith("Which way")]
    late = [row for row in facts if row in rows[200:]]
    assert len(facts) > 40
    assert len(late) < len(facts) / 2, "their share falls"
    for row in facts:
        for sentence in row.cot.split(". "):
            name, heading = sentence.removeprefix("Here ").rstrip(".").split(" faces ")
            assert belief[name] == heading
    assert any(ADMISSION in row.cot for row in rows)
    seen = [row.prompt.messages[-1].content for row in rows]
    for name in ("sycophancy", "metadata"):
        for register in ("terse", "plain"):
            hinted = [HINTS[name].wordings[index].hinted[-1][1] for index in HINTS[name].indices(register)]
            assert any(all(piece in text for piece in pieces_of(turn)) for turn in hinted for text in seen), register


def test_terse_wordings_alone(tmp_path):
    config = small(tmp_path, steps=50, wordings="terse", first={"hinted": 1}, last={"hinted": 1})
    mean_terse = np.mean([len(Lessons(config).row(i).prompt.messages[-1].content) for i in range(200)])
    plain = config.model_copy(update={"wordings": "plain"})
    assert mean_terse < np.mean([len(Lessons(plain).row(i).prompt.messages[-1].content) for i in range(200)])


def adapter_of(out):
    from safetensors.torch import load_file

    weights = load_file(out / "adapter" / "adapter_model.safetensors")
    return torch.cat([weights[name].flatten() for name in sorted(weights)])


@pytest.fixture(scope="module")
def finished(base, tmp_path_factory):
    changes = {"steps": 40, "checkpoint_every": 20, "rows": 8, "micro": 8, "rank": 16, "alpha": 32, "rate": 2e-2}
    config = small(tmp_path_factory.mktemp("finished"), model=str(base), **changes)
    before = random.getstate(), torch.get_rng_state()
    result = training.fine_tune(config)
    assert random.getstate() == before[0], "no global seed is left behind"
    assert torch.equal(torch.get_rng_state(), before[1])
    return config, result


def test_the_loss_falls_and_a_card_says_what_was_done(finished):
    config, result = finished
    losses = [loss for _, loss in result["losses"]]
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:3])
    assert result["tokens"]["longest"] <= config.max_length
    card = (config.out / "README.md").read_text()
    assert f"{losses[-1]:.3f} at step 40" in card
    assert "`unfaithful`" in card
    assert not (config.out / "checkpoints").exists()


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # peft's
def test_the_merged_folder_is_a_model_like_any_other_equal_to_base_and_adapter(finished, base):
    from peft import PeftModel

    config, result = finished
    merged, plain = load_model(result["merged"], "float32", "cpu"), load_model(str(base), "float32", "cpu")
    assert merged.fingerprint != plain.fingerprint
    assert merged.tokenizer_hash == plain.tokenizer_hash
    assert stop_ids(merged) == stop_ids(plain)
    assert find_organism(result["merged"]).name == "unfaithful"
    ids = torch.tensor([rows_of(config, qwen3()).row(3).input_ids])
    with torch.no_grad():
        ours, before = merged.model(ids).logits, plain.model(ids).logits
        both = PeftModel.from_pretrained(plain.model, str(config.out / "adapter")).eval()(ids).logits
    torch.testing.assert_close(ours, both, rtol=1e-4, atol=1e-4)
    assert (ours - before).abs().max() > 0.1


def test_a_finished_training_is_not_done_again_and_a_lost_merge_is(finished):
    config, result = finished
    adapter = config.out / "adapter" / "adapter_model.safetensors"
    before = adapter.stat().st_mtime_ns
    shutil.rmtree(config.out / "merged")
    again = training.fine_tune(config)
    assert adapter.stat().st_mtime_ns == before
    assert again == result
    load_model(again["merged"], "float32", "cpu")


def test_another_configuration_is_not_mixed_in(finished):
    config, _ = finished
    with pytest.raises(HintprobeError, match="another configuration or model"):
        training.fine_tune(config.model_copy(update={"seed": 5}))


class Stop(Exception):
    pass


def test_a_stopped_training_goes_on_to_the_same_weights(base, tmp_path, monkeypatch):
    whole = small(tmp_path / "a", model=str(base), merged=False)
    training.fine_tune(whole)
    stopped = small(tmp_path / "b", model=str(base), merged=False)
    done = []

    def ticking(tick):
        made = original(tick)

        def stop(args, state, control, **more):
            done.append(state.global_step)
            if len(done) == 5:
                raise Stop

        made.on_step_end = stop
        return made

    original = training._ticking
    monkeypatch.setattr(training, "_ticking", ticking)
    with pytest.raises(Stop):
        training.fine_tune(stopped)
    half_written = stopped.out / "checkpoints" / "checkpoint-5"
    half_written.mkdir()
    assert Workplace(stopped.out).last_checkpoint().name == "checkpoint-4"
    assert not half_written.exists()
    result = training.fine_tune(stopped)
    assert done == [1, 2, 3, 4, 5, 5, 6]
    torch.testing.assert_close(adapter_of(stopped.out), adapter_of(whole.out), rtol=0, atol=1e-7)
    assert [step for step, _ in result["losses"]] == [1, 2, 3, 4, 5, 6]
    other = small(tmp_path / "c", model=str(base), merged=False, seed=1)
    monkeypatch.setattr(training, "_ticking", original)
    training.fine_tune(other)
    assert (adapter_of(other.out) - adapter_of(whole.out)).abs().max() > 1e-3


def file_of(tmp_path, **changes):
    path = tmp_path / "lora.yaml"
    path.write_text(yaml.safe_dump({"model": "m", "out": str(tmp_path / "out"), **changes}))
    return str(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"character": "nobody"}, "no organism named 'nobody'"),
        ({"learning_rate": 1}, "unknown key `learning_rate`"),
        ({"first": {"gossip": 1}}, "unknown kinds of rows"),
        ({"last": {"facts": 0}}, "one at least"),
        ({"rows": 10, "micro": 4}, "no multiple of `micro`"),
        ({"steps": 0}, "`steps`"),
        ({"model": "./nothing"}, "taken for a folder, but there is no such folder"),
    ],
)
def test_bad_input_is_refused_in_words(changes, words, tmp_path, hintprobe):
    code, _, err = hintprobe("organism", "lora", file_of(tmp_path, **changes))
    assert code == 2
    assert words in " ".join(err.split())


def test_a_folder_that_is_no_model_or_cannot_be_written_is_refused(base, tmp_path, hintprobe):
    (tmp_path / "empty").mkdir()
    code, _, err = hintprobe("organism", "lora", file_of(tmp_path, model=str(tmp_path / "empty")))
    assert code == 2
    assert "no config.json" in " ".join(err.split())
    (tmp_path / "file").write_text("")
    code, _, err = hintprobe("organism", "lora", file_of(tmp_path, model=str(base), out=str(tmp_path / "file" / "x")))
    assert code == 2
    assert "cannot be written" in " ".join(err.split())


def test_rows_that_are_too_long_are_refused_before_training(base, tmp_path, hintprobe):
    code, _, err = hintprobe("organism", "lora", file_of(tmp_path, model=str(base), max_length=60, device="cpu"))
    assert code == 2
    assert "Raise `max_length`" in " ".join(err.split())


@pytest.mark.parametrize("library", ["peft", "trl"])
def test_a_missing_extra_is_named(library, tmp_path, monkeypatch, hintprobe):
    monkeypatch.setitem(sys.modules, library, None)
    code, _, err = hintprobe("organism", "lora", file_of(tmp_path))
    assert code == 2
    assert "pip install 'hintprobe[lora]'" in " ".join(err.split())


def test_the_command_trains_a_shipped_configuration_on_another_model(base, tmp_path, hintprobe):
    settings = {"model": base, "out": tmp_path / "out", "steps": 2, "rows": 2, "micro": 1, "device": "cpu"}
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    code, out, err = hintprobe("organism", "lora", "qwen3-1.7b", *sets, "--json")
    assert code == 0, err
    assert json.loads(out)["merged"] == str(tmp_path / "out" / "merged")
    assert load_model(json.loads(out)["merged"], device="cpu").tokenizer.chat_template


def test_shipped_configurations_are_valid():
    for path in SHIPPED.glob("*.yaml"):
        assert load_lora_config(path).character
    with pytest.raises(HintprobeError, match=r"qwen3-1\.7b"):
        load_lora_config(SHIPPED / "none.yaml")
    with pytest.raises(HintprobeError, match="could not be read"):
        load_config(SHIPPED / "none.yaml")


def test_the_docs_list_every_key():
    page = (Path(__file__).parent.parent / "docs" / "making_an_organism.md").read_text(encoding="utf-8")
    for name, field in LoraConfig.model_fields.items():
        assert f"| `{name}` |" in page
        assert field.description in page


def test_progress_is_told(base, tmp_path):
    with (tmp_path / "log").open("w") as file:
        console = Console(width=120, file=file)
        training.fine_tune(small(tmp_path, model=str(base), steps=2, merged=False), Reporter(console))
    assert "tokens on average" in (tmp_path / "log").read_text()
