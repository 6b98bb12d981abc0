"""Tables and stages on disk: nothing damaged is read in silence, and what is damaged is made again."""

import json

import pytest

from activations.errors import HintprobeError
from experiments.config import Config
from experiments.records import Verdict
from experiments.records.accounts import Account
from experiments.records.files import MARKER, read_json, signed, write_json
from experiments.records.tables import RecordTable
from experiments.run.model_run import ModelRun
from experiments.run.progress import Reporter


def verdict(k, judge="j", **changes):
    return Verdict(rollout_id=f"r{k}", judge=judge, status="ok", mentions=bool(k % 2), **changes)


@pytest.fixture
def table(tmp_path):
    return RecordTable(tmp_path / "verdicts.jsonl", Verdict)


def test_reading_changes_nothing_while_another_process_writes(table):
    table.append([verdict(0), verdict(1)])
    whole = table.path.read_bytes()
    table.path.write_bytes(whole + b'{"rollout_id": "r2"')
    assert table.read() == [verdict(0), verdict(1)]
    assert table.path.read_bytes() == whole + b'{"rollout_id": "r2"'


def test_the_writer_removes_a_cut_line_and_goes_on(table):
    table.append([verdict(0)])
    with table.path.open("ab") as file:
        file.write(b'{"rollout_id": "r1"')
    assert table.resume() == [verdict(0)]
    assert table.lost == 0
    table.append([verdict(1)])
    assert table.read() == [verdict(0), verdict(1)]


def test_a_row_written_twice_counts_once(table):
    table.append([verdict(0), verdict(1)])
    table.append([verdict(1, relies=True), verdict(0, judge="other")])
    once = [verdict(0), verdict(1, relies=True), verdict(0, judge="other")]
    assert table.read() == once
    assert table.resume() == once
    assert len(table.path.read_text().splitlines()) == 3, "the writer leaves it out for good"


@pytest.mark.parametrize("at", range(0, 250, 7))
def test_no_changed_byte_of_a_table_that_goes_on_is_read_in_silence(table, at):
    written = [verdict(0), verdict(1)]
    table.resume()
    table.append(written)
    data = bytearray(table.path.read_bytes())
    at %= len(data)
    data[at] ^= 1
    table.path.write_bytes(bytes(data))
    if data.endswith(b"\n"):
        with pytest.raises(HintprobeError, match="Run the command that writes it again"):
            table.read()
    else:  # the last line's end was hit: it is taken as cut
        assert table.read() == written[:1]
    kept = table.resume()
    assert set(kept) <= set(written)
    table.append([row for row in written if row not in kept])
    assert set(table.read()) == set(written)


def test_a_table_of_an_earlier_version_gets_its_sums(table):
    table.append([verdict(0)])
    assert table.resume() == [verdict(0)]
    table.append([verdict(1)])
    assert table.read() == table.resume() == [verdict(0), verdict(1)]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\udcff", '{"a": 1}x'])
def test_damaged_json_is_told_in_one_paragraph(tmp_path, text):
    path = tmp_path / "value.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(HintprobeError, match="is not JSON"):
        read_json(path)


@pytest.fixture
def run(tmp_path):
    config = Config.model_validate({"name": "t", "models": ["m"], "cache": str(tmp_path)})

    def make():
        made = ModelRun(config, "m", Reporter(None))
        made.__dict__["fingerprint"] = "f" * 64
        return made

    return make


class Written(Account):
    STAGE = "judge"
    rows: int


class Counted(Account):
    STAGE = "probe"
    mentions: int
    n: int


class Stages:
    """Two stages, the second of which counts what the first wrote."""

    def __init__(self, make, shift=0):
        self.run, self.shift, self.ran = make(), shift, []
        self.first = self.run.stage(Written, ("a",), self.write, uses_model=False)
        self.second = self.run.stage(Counted, (self.first.signature,), self.count, uses_model=False)

    def write(self, folder):
        self.ran.append("judge")
        table = RecordTable(folder / "verdicts.jsonl", Verdict)
        kept = {row.rollout_id for row in table.resume()}
        table.append([verdict(k + self.shift) for k in range(4) if f"r{k + self.shift}" not in kept])
        write_json(folder / "extra.json", {"rows": 4})
        return Written(rows=4)

    def count(self, folder):
        self.ran.append("probe")
        (folder / "probes").mkdir(exist_ok=True)
        (folder / "probes" / "probe.json").write_text("{}")
        table = RecordTable(folder / "scores.jsonl", Verdict)
        rows = RecordTable(self.first.folder / "verdicts.jsonl", Verdict).read()
        table.replace(rows)
        return Counted(mentions=sum(bool(row.mentions) for row in rows), n=len(rows))


def test_sound_stages_are_found(run):
    assert Stages(run).ran == ["judge", "probe"]
    assert Stages(run).ran == []


def _cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


DAMAGE = {"cut": _cut, "empty": lambda p: p.write_bytes(b""), "gone": lambda p: p.unlink(), "flip": _flip}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize(
    ("stage", "name"),
    [("judge", "verdicts.jsonl"), ("judge", "extra.json"), ("judge", MARKER), ("probe", "probes/probe.json"),
     ("probe", MARKER)],
)  # fmt: skip
def test_a_damaged_file_is_noticed_and_its_stage_made_again(run, stage, name, how):
    before = Stages(run)
    folder = before.first.folder if stage == "judge" else before.second.folder
    DAMAGE[how](folder / name)
    if name == "verdicts.jsonl":  # whoever reads it alone is told as well
        with pytest.raises(HintprobeError, match="the stage judge is then made again"):
            RecordTable(folder / name, Verdict).read()
    after = Stages(run)
    assert after.ran[0] == stage
    assert after.second.account == before.second.account == Counted(mentions=2, n=4)
    assert Stages(run).ran == []


def test_only_the_damaged_rows_are_made_again(run):
    folder = Stages(run).first.folder
    sound = [line for line in (folder / "verdicts.jsonl").read_text().splitlines() if "r2" not in line]
    text = (folder / "verdicts.jsonl").read_text().replace('"r2"', '"r9"')
    (folder / "verdicts.jsonl").write_text(text)
    Stages(run)
    lines = (folder / "verdicts.jsonl").read_text().splitlines()
    assert lines[:3] == sound
    assert [json.loads(line)["rollout_id"] for line in lines[3:]] == ["r2"]
    assert list(folder.glob("verdicts.jsonl.damaged-*"))


def test_what_follows_is_made_again_only_where_its_records_differ(run):
    folder = Stages(run).first.folder
    (folder / "verdicts.jsonl").unlink()
    assert Stages(run).ran == ["judge"]  # the same records came back, in whatever order
    (folder / "verdicts.jsonl").unlink()
    changed = Stages(run, shift=1)  # as from a server that cannot repeat itself
    assert changed.ran == ["judge", "probe"]
    assert Stages(run).ran == []


def test_a_marker_of_an_earlier_version_is_taken_and_completed(run):
    folder = Stages(run).first.folder
    old = json.loads((folder / MARKER).read_text())
    for key in ("files", "content", "inputs", "checksum"):
        del old[key]
    (folder / MARKER).write_text(json.dumps(old))
    assert Stages(run).ran == []
    assert "files" in read_json(folder / MARKER)
    _cut(folder / "verdicts.jsonl")
    assert Stages(run).ran == ["judge"]


def test_a_signed_value_is_sound_after_a_round_trip():
    from experiments.records.files import is_sound

    value = json.loads(json.dumps(signed({"a": (1, 2.5), 3: {"b": None}, "c": 1e-17})))
    assert is_sound(value)
    assert not is_sound({**value, "a": [1, 2.25]})
