"""The GPU scripts do what they say: the commands that they run exist, in that order, with these arguments."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "experiments" / "gpu"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")

RECORDER = '#!/usr/bin/env bash\necho "$(basename "$0") $*" >> "$CALLS"\n'


@pytest.fixture
def recorded(tmp_path):
    """Run a script with recorders in place of the commands it calls; returns the calls, in order."""
    # The scripts start the server in the background: as with a real one, asking it (curl) fails until it is there.
    after = {"hintprobe": "", "vllm": "exec sleep 60\n", "curl": 'grep --quiet "^vllm serve" "$CALLS"\n'}
    for name, then in after.items():
        path = tmp_path / name
        path.write_text(RECORDER + then)
        path.chmod(0o755)
    config = tmp_path / "c.yaml"
    config.write_text("name: c\nmodels: [owner/model]\n")

    def run(script, *arguments, **environment):
        calls = tmp_path / "calls"
        path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CALLS": str(calls), **environment}
        done = subprocess.run(
            [str(SCRIPTS / script), str(config), *arguments], env=env, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return calls.read_text().replace(str(config), "CONFIG").splitlines()

    return run


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_valid_and_refuse_to_guess(script):
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    done = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "give a configuration" in done.stderr


def test_one_gpu_plans_checks_and_runs(recorded):
    assert recorded("one_gpu.sh", "--set", "questions.limit=5") == [
        "hintprobe plan CONFIG --set questions.limit=5",
        "hintprobe check owner/model",
        "hintprobe run CONFIG --set questions.limit=5",
    ]


def test_the_server_is_gone_before_the_gpu_is_needed(recorded):
    calls = recorded("vllm_server.sh", PORT="8123")
    served = "vllm serve owner/model --host 127.0.0.1 --port 8123 --generation-config vllm --max-model-len 5120"
    started = calls.index(served)
    assert started < calls.index(next(call for call in calls if call.startswith("hintprobe generate")))
    generate, run = (call for call in calls if call.startswith("hintprobe"))
    assert generate.startswith("hintprobe generate CONFIG --set generate.engine=server")
    assert "generate.server.base_url=http://127.0.0.1:8123/v1" in generate
    assert run == generate.replace("hintprobe generate", "hintprobe run")  # the same settings, so nothing is made twice


def test_a_vllm_capture_is_proved_first(recorded, tmp_path):
    (tmp_path / "owner" / "model").mkdir(parents=True)
    (tmp_path / "owner" / "model" / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 3}')
    model = str(tmp_path / "owner" / "model")
    (tmp_path / "c.yaml").write_text(f"name: c\nmodels: ['{model}']\n")
    calls = recorded("vllm_capture.sh", PORT="8125", STATES=str(tmp_path / "states"), SERVE="--tensor-parallel-size 2")
    served = next(call for call in calls if call.startswith(f"vllm serve {model} "))
    assert '"eagle_aux_hidden_state_layer_ids": [0, 1, 2, 3]' in served
    assert served.endswith("--no-enable-prefix-caching --no-enable-chunked-prefill --tensor-parallel-size 2")
    check, capture = (call for call in calls if call.startswith("hintprobe"))
    assert check == f"hintprobe check {model} --backend vllm --base-url http://127.0.0.1:8125/v1 --dtype bfloat16"
    assert "capture CONFIG --set capture.backend=vllm --set capture.server.base_url=http://127.0.0.1:8125/v1" in capture
    assert not (tmp_path / "states").exists()


def test_an_array_task_captures_its_share(recorded):
    calls = recorded("slurm_array.sh", SLURM_ARRAY_TASK_ID="3", SLURM_ARRAY_TASK_COUNT="8")
    assert calls == ["hintprobe capture CONFIG --part 3/8"]


def test_an_array_can_be_repeated_in_part_and_is_not_misread(recorded, tmp_path):
    again = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "2"}
    assert recorded("slurm_array.sh", **again, PARTS="8", STAGE="judge") == ["hintprobe judge CONFIG --part 5/8"]
    done = subprocess.run(
        [str(SCRIPTS / "slurm_array.sh"), "c.yaml"], env={**os.environ, **again}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "number the array from 0" in done.stderr


def test_shipped_names_and_settings_reach_the_server(recorded):
    calls = recorded("vllm_server.sh", "--set", "generate.max_new_tokens=100", PORT="8124")
    assert any(call.endswith("--max-model-len 4196") for call in calls)


def test_the_listed_estimates_are_those_of_the_configurations():
    listed = dict(re.findall(r"^\| `([\w.-]+)` \| (.+) \|$", (SCRIPTS / "README.md").read_text(encoding="utf-8"), re.M))
    configs = sorted((SCRIPTS.parent / "configs" / "gpu").glob("*.yaml"))
    assert set(listed) - {"one_gpu.sh CONFIG"} >= {path.stem for path in configs}
    for path in configs:
        line = path.read_text(encoding="utf-8").splitlines()[1]
        found = re.search(r"generate (.+?), capture (.+?); (.+?) of activations, (.+?) of records", line)
        assert listed[path.stem] == " | ".join(found.groups())


def test_the_servers_settings_are_a_valid_configuration(recorded, tmp_path):
    """What the script sets is what the configuration knows."""
    from experiments.config.file import load_config

    call = next(line for line in recorded("vllm_server.sh") if line.startswith("hintprobe generate"))
    words = call.split()
    settings = [words[k + 1] for k, word in enumerate(words) if word == "--set"]
    config = load_config(tmp_path / "c.yaml", settings)
    assert config.generate.engine == "server"
    assert config.generate.server.model == "owner/model"
