"""The command line in process: bad input gets one clear paragraph and exit status 2, and loses nothing."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer
import yaml

from experiments.cli import ORDER, app, main


def hintprobe(capsys, monkeypatch, *arguments):
    """Exit status and what was printed."""
    monkeypatch.setattr(sys, "argv", ["hintprobe", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    out = capsys.readouterr()
    return int(stopped.value.code or 0), out.out, out.err


def write(tmp_path, **content):
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump({"name": "t", "models": ["organism:unfaithful"], "cache": str(tmp_path / "c"), **content})
    )
    return path


def assert_one_paragraph(err):
    text = err.strip()
    assert text.startswith("hintprobe: ")
    assert "Traceback" not in text
    assert "\n\n" not in text


BAD_CONFIGS = {
    "an unknown key": ({"qestions": {}}, "unknown key `qestions`"),
    "an unknown key in a section": ({"hints": {"kind": []}}, "unknown key `hints.kind`"),
    "an ill-typed value": ({"questions": {"limit": "many"}}, "`questions.limit`"),
    "a number of kinds that is neither": ({"hints": {"per_question": "sometimes"}}, "`hints.per_question`"),
    "an unknown hint kind": ({"hints": {"kinds": ["telepathy"]}}, "telepathy"),
    "a limit for no model": ({"limits": {"organism:blind": 3}}, "limits names models"),
    "a missing model folder": ({"models": ["./no/such/folder"]}, "there is no such folder"),
    "an unknown organism": ({"models": ["organism:honest"]}, "Known: backrationaliser, blind"),
    "a name that leaves the cache": ({"name": "../evil"}, "`name`"),
    "no threads": ({"threads": 0}, "`threads`"),
    "a penalty below zero": ({"probe": {"c_grid": [-1]}}, "`probe.c_grid.0`"),
    "no penalty": ({"probe": {"c_grid": []}}, "`probe.c_grid`"),
    "an unknown judge": ({"judge": {"judges": ["oracle"]}}, "no judge named 'oracle'"),
    "an unknown position": ({"capture": {"positions": ["the_end"]}}, "no position named 'the_end'"),
    "a missing question file": ({"questions": {"source": "nowhere.jsonl"}}, "nowhere.jsonl"),
    "too few questions for worked examples": (
        {"questions": {"limit": 2}, "hints": {"kinds": ["visual_pattern"]}},
        "worked examples",
    ),
}


@pytest.mark.parametrize("case", list(BAD_CONFIGS))
def test_bad_config(case, capsys, monkeypatch, tmp_path):
    content, expected = BAD_CONFIGS[case]
    changes = {"questions": {"limit": 6}, **content}
    code, _, err = hintprobe(capsys, monkeypatch, "run", write(tmp_path, **changes))
    assert code == 2
    assert expected in err
    assert_one_paragraph(err)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", "a mapping"),
        ("a: [", "not YAML"),
        ("name: a\nname: b\n", "'name' stands twice"),
        (None, "could not be read"),
    ],
)
def test_a_config_that_is_none(text, expected, capsys, monkeypatch, tmp_path):
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    code, _, err = hintprobe(capsys, monkeypatch, "run", path)
    assert code == 2
    assert expected in err
    assert_one_paragraph(err)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "not a question"),
        ('{"id": "a", "stem": "s", "options": ["x"], "gold": "A"}', "at least 2"),
        ('{"id": "a", "stem": "s", "options": ["x", "y"], "gold": "C"}', "gold 'C'"),
        ('{"id": "a", "stem": "s", "options": ["x", "y"]}', "not a question"),
    ],
)
def test_bad_questions(line, expected, capsys, monkeypatch, tmp_path):
    (tmp_path / "q.jsonl").write_text(line + "\n")
    config = write(tmp_path, questions={"source": str(tmp_path / "q.jsonl")})
    code, _, err = hintprobe(capsys, monkeypatch, "generate", config)
    assert code == 2
    assert expected in err
    assert_one_paragraph(err)


def test_a_cache_that_cannot_be_written(capsys, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    code, _, err = hintprobe(capsys, monkeypatch, "run", write(tmp_path, questions={"limit": 6}), "--cache", blocked)
    assert code == 2
    assert "cannot be written" in err
    assert_one_paragraph(err)
    assert blocked.read_text() == "not a folder"


def test_no_reliant_item_is_told_and_nothing_is_lost(capsys, monkeypatch, tmp_path):
    skip = ["patch", "mediate", "directions"]
    config = write(
        tmp_path, models=["organism:blind"], questions={"limit": 12}, generate={"max_new_tokens": 64}, skip=skip
    )
    code, out, _ = hintprobe(capsys, monkeypatch, "run", config)
    assert code == 0
    assert "All records are kept" in " ".join(out.split())
    run = tmp_path / "c" / "runs" / "t"
    assert (run / "report.html").exists()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["models"][0]["stages"]["generate"]["account"]["rollouts"] == 48
    assert summary["models"][0]["comparison"]["faithfulness"]["all"]["p"] == 0


def test_the_model_can_be_overridden(capsys, monkeypatch, tmp_path, tiny_folder):
    config = write(tmp_path, questions={"limit": 6}, generate={"max_new_tokens": 2})
    code, out, _ = hintprobe(capsys, monkeypatch, "generate", config, "--model", tiny_folder("llama"))
    assert code == 0
    assert "24 rollouts" in out
    assert list((tmp_path / "c" / "runs" / "t").glob("model-*/generate-*/rollouts.jsonl"))


def test_a_stop_is_told_and_the_next_run_goes_on(capsys, monkeypatch, tmp_path):
    from experiments.records.tables import RecordTable

    config = write(tmp_path, questions={"limit": 12}, generate={"max_new_tokens": 64, "token_budget": 1000})
    append, calls = RecordTable.append, []

    def stop_after_three(self, records):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(1)
        append(self, records)

    monkeypatch.setattr(RecordTable, "append", stop_after_three)
    code, _, err = hintprobe(capsys, monkeypatch, "generate", config)
    assert code == 2
    assert "run the same command again" in err
    assert_one_paragraph(err)
    monkeypatch.setattr(RecordTable, "append", append)
    (table,) = (tmp_path / "c").glob("runs/t/*/generate-*/rollouts.jsonl")
    kept = table.read_text()
    assert kept
    code, _, _ = hintprobe(capsys, monkeypatch, "generate", config)
    assert code == 0
    assert set(kept.splitlines()) <= set(table.read_text().splitlines())
    assert len(table.read_text().splitlines()) == 48


def test_help_tells_the_stages_in_order(capsys, monkeypatch):
    code, out, _ = hintprobe(capsys, monkeypatch, "--help")
    assert code == 0
    words = [w.strip(",.") for w in out.split("order:")[1].split()[:7]]
    assert words == ["generate", "judge", "capture", "probe", "patch", "compare", "report"]


def _commands(command, name="hintprobe"):
    """Every command with its full name."""
    for sub, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {sub}")
    if not hasattr(command, "commands"):
        yield name, command


COMMANDS = dict(_commands(typer.main.get_command(app)))


def test_the_first_help_is_read_whole(capsys, monkeypatch):
    """No line of the list of commands is cut at the width of a terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = hintprobe(capsys, monkeypatch, "--help")
    assert "..." not in out.split("Commands:")[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_of_itself(name):
    help_text = COMMANDS[name].help
    example = help_text.split("Example:")[1].split()
    assert " ".join(example).startswith(name)


WITHOUT_JSON = {
    "hintprobe init": "it writes a configuration",
    "hintprobe report": "--format json",
    "hintprobe judges label": "it talks to a person",
    "hintprobe organism train": "it writes a folder",
}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_with_a_result_prints_json(name):
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--json" in options) != (name in WITHOUT_JSON)


def test_a_stage_prints_the_summary_alone_as_json(capsys, monkeypatch, tmp_path, tiny_folder):
    changes = {"questions": {"limit": 6}, "generate": {"max_new_tokens": 2}, "models": [str(tiny_folder("llama"))]}
    config = write(tmp_path, **changes)
    for stage in ("generate", "judge", "capture"):
        code, out, _ = hintprobe(capsys, monkeypatch, stage, config, "--json")
        assert code == 0
        (model,) = json.loads(out)["models"]
        assert list(model["stages"])[-1] == stage
    code, out, _ = hintprobe(capsys, monkeypatch, "check", tiny_folder("llama"), "--json", "--cache", tmp_path / "c")
    assert (code, json.loads(out)["passed"]) == (0, True)


def test_the_report_of_a_configuration_comes_in_the_format_asked_for(capsys, monkeypatch, tmp_path, tiny_folder):
    changes = {"questions": {"limit": 6}, "generate": {"max_new_tokens": 2}, "models": [str(tiny_folder("llama"))]}
    config = write(tmp_path, **changes)
    asked = ("report", config, "--format", "md", "--set", "directions.detectors=[]")
    code, out, err = hintprobe(capsys, monkeypatch, *asked)
    assert code == 0  # a random model relies on nothing, and that is a result
    assert "probes need at least" in " ".join(err.split())
    assert "probes need" not in out
    page, table = tmp_path / "page.html", tmp_path / "table.json"
    run = tmp_path / "c" / "runs" / "t"
    code, out, _ = hintprobe(capsys, monkeypatch, "report", run, "--format", "json", "-o", table)
    assert (code, out.strip()) == (0, str(table))
    assert json.loads(table.read_text())
    code, out, _ = hintprobe(capsys, monkeypatch, "report", run, "-o", page)
    assert (code, out.strip()) == (0, str(page))


def test_completion_scripts_are_printed(monkeypatch, capsys):
    """What docs/command_line.md has users install; the shell's own request for words is answered, too."""
    for shell in ("bash", "zsh", "fish"):
        monkeypatch.setattr("shellingham.detect_shell", lambda *_, found=shell: (found, f"/bin/{found}"))
        code, out, _ = hintprobe(capsys, monkeypatch, "--show-completion")
        assert code == 0
        assert f"_HINTPROBE_COMPLETE=complete_{shell}" in out
    words = {"COMP_WORDS": "hintprobe ju", "COMP_CWORD": "1", "_HINTPROBE_COMPLETE": "complete_bash"}
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-m", "hintprobe"], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["judge", "judges"]


def test_help_lists_commands_in_the_order_of_the_work(capsys, monkeypatch):
    _, out, _ = hintprobe(capsys, monkeypatch, "--help")
    listed = [line.split()[0] for line in out.split("Commands:")[1].splitlines() if line.strip()]
    assert listed == list(ORDER)


def test_the_version(capsys, monkeypatch):
    code, out, _ = hintprobe(capsys, monkeypatch, "--version")
    assert (code, out.strip()) == (0, version("hintprobe"))


def test_an_unknown_recipe(capsys, monkeypatch, tmp_path):
    code, _, err = hintprobe(capsys, monkeypatch, "organism", "train", "nobody", "--cache", tmp_path)
    assert code == 2
    assert "no organism named 'nobody'" in err
    assert_one_paragraph(err)


def test_questions_beyond_a_models_vocabulary_are_told(capsys, monkeypatch, tmp_path):
    line = {"id": "a", "stem": "Why zebras?", "options": ["north", "east"], "gold": "A"}
    (tmp_path / "q.jsonl").write_text(json.dumps(line) + "\n")
    config = write(tmp_path, questions={"source": str(tmp_path / "q.jsonl")}, hints={"kinds": ["sycophancy"]})
    code, _, err = hintprobe(capsys, monkeypatch, "generate", config)
    assert code == 2
    assert "does not know every word" in err
    assert_one_paragraph(err)


def test_an_empty_question_file(capsys, monkeypatch, tmp_path):
    (tmp_path / "q.jsonl").write_text("")
    code, _, err = hintprobe(
        capsys, monkeypatch, "generate", write(tmp_path, questions={"source": str(tmp_path / "q.jsonl")})
    )
    assert code == 2
    assert "No question was found" in err


def test_the_command_line_starts_without_heavy_libraries():
    code = "import sys, experiments.cli; print(sorted({'torch', 'transformers', 'numpy', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_configuration_is_read_and_written_without_heavy_libraries():
    code = "import sys; from experiments.planning import template; from experiments.config import file; "
    code += "print(sorted({'torch', 'transformers', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_without_probes_is_a_result_and_an_error_for_scripts(capsys, monkeypatch, tmp_path, tiny_folder):
    changes = {"questions": {"limit": 6}, "generate": {"max_new_tokens": 2}, "models": [str(tiny_folder("llama"))]}
    config = write(tmp_path, **changes)
    code, out, _ = hintprobe(capsys, monkeypatch, "probe", config)
    assert code == 0
    assert "completions state no answer" in " ".join(out.split()), "the cause is named"
    code, _, err = hintprobe(capsys, monkeypatch, "probe", config, "--strict")
    assert code == 2
    assert "probes need at least" in " ".join(err.split())
    assert_one_paragraph(err)


@pytest.mark.parametrize("verb", ["plan", "generate"])
def test_completions_longer_than_the_models_context_are_refused(capsys, monkeypatch, tmp_path, tiny_folder, verb):
    changes = {"generate": {"max_new_tokens": 10**7}, "models": [str(tiny_folder("llama"))]}
    code, _, err = hintprobe(capsys, monkeypatch, verb, write(tmp_path, **changes))
    assert code == 2
    assert "`generate.max_new_tokens` is 10000000, but the context of" in " ".join(err.split())


def test_what_the_operating_system_refuses_is_one_paragraph(capsys, monkeypatch, tmp_path):
    def full(**_):
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr("experiments.cli.app", full)
    code, _, err = hintprobe(capsys, monkeypatch, "run", "demo")
    assert code == 2
    assert "No space left on device" in err
    assert_one_paragraph(err)


def test_a_report_into_a_folder_that_is_not_there(capsys, monkeypatch, tmp_path):
    code, _, err = hintprobe(capsys, monkeypatch, "report", tmp_path, "-o", tmp_path / "none" / "page.html")
    assert code == 2
    assert "does not exist" in " ".join(err.split())
    code, _, err = hintprobe(capsys, monkeypatch, "report", tmp_path, "-o", tmp_path)
    assert code == 2
    assert "is a folder, but the name of a file was expected" in " ".join(err.split())


def test_a_scheduler_that_ends_a_job_is_told_what_is_kept(tmp_path):
    """SIGTERM is a stop like Ctrl-C: one paragraph and exit status 2."""
    code = (
        "import os, signal, sys\n"
        "import experiments.cli, experiments.commands.running as running\n"
        "def work(*arguments, **options):\n"
        "    with running.stoppable():\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        import time; time.sleep(5)\n"
        "experiments.cli.run_until = work\n"
        "sys.argv = ['hintprobe', 'run', 'demo']\n"
        "experiments.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "Finished work is kept" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
