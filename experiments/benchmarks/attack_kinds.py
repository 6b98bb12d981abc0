"""The kinds of attack, each with what has to hold after it."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from experiments.benchmarks.attack_arena import VERBS, Arena, Outcome, start
from experiments.benchmarks.attack_counts import KEYS
from experiments.benchmarks.attack_servers import FAULTS, Served
from experiments.run.stopping import STOPPED

HOSTILE = (
    "[/bold] [red]x[/red] [link=file:///etc/passwd]y",
    "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "\ud800 half a pair",
    "a\x00b",
    "\u202egnp.exe",
    "{question} {letter} [[ ]] {0} %s ${HOME}",
    "<script>alert(1)</script>",
    "The answer is (A). " * 2000,
    "</think>" * 500,
    "\U0001f642" * 3000,
    "\r\n\t\x0b\x0c",
    "'; DROP TABLE rollouts; --",
    "NaN",
    "",
    "   ",
)
"""What a question's texts may hold."""


class Attack:
    """Counts of what was tried and of what did not hold, with a line on each of the latter."""

    def __init__(self, arena: Arena) -> None:
        self.arena, self.rng = arena, arena.rng
        self.counts: Counter[str] = Counter(dict.fromkeys(KEYS, 0))
        self.said: list[str] = []
        self.served: Served | None = None

    def kill(self) -> None:
        """Kill a process somewhere in a stage, then take the stage up again."""
        verb = self.rng.choice(VERBS)
        cache = self.arena.copy(without=verb)
        after = self.rng.uniform(0, 1.1 * self.arena.seconds[verb] + 0.3)
        if self.arena.run(cache, verb).kill(after).how == "killed":
            self.counts["kills"] += 1
            self._ends_right(cache, verb, "kills_wrong", f"killed {after:.2f} s into {verb}")
        shutil.rmtree(cache)

    def stop(self) -> None:
        """End a process somewhere in a stage as a scheduler does (SIGTERM), then take the stage up again."""
        verb = self.rng.choice(VERBS)
        cache = self.arena.copy(without=verb)
        after = self.rng.uniform(0, 1.1 * self.arena.seconds[verb] + 0.3)
        what = f"SIGTERM {after:.2f} s into {verb}"
        outcome = self.arena.run(cache, verb).kill(after, signal.SIGTERM)
        if outcome.how != "ok":  # killed: it was still starting, and no handler stood yet
            self.counts["stops"] += 1
            self._no_traceback(outcome, what)
            if outcome.how == "told" and not outcome.said.startswith(STOPPED):
                self._wrong("stops_wrong", f"{what}: {outcome.said[:300]}")
            self._ends_right(cache, verb, "stops_wrong", what)
        shutil.rmtree(cache)

    def corrupt(self) -> None:
        """Damage one file of a finished run, then read it as a report does, and run it again."""
        cache = self.arena.copy()
        files = [path for path in cache.rglob("*") if path.is_file() and path.suffix not in (".lock", ".html")]
        path = self.rng.choice(sorted(files))
        how = self._damage(path)
        what = f"{how} {path.relative_to(cache)}"
        self.counts["corruptions"] += 1
        if self.rng.random() < 0.3:
            self._reports(cache, what)
        self._ends_right(cache, "compare", "corruptions_silent", what)
        shutil.rmtree(cache)

    def _damage(self, path: Path) -> str:
        """Change a file as a disk, a copy that stopped, or a hand might."""
        data = bytearray(path.read_bytes())
        how = self.rng.choice(["flip", "flip", "digit", "cut", "empty", "gone", "zeros", "repeat"])
        if how == "gone":
            path.unlink()
            return how
        at = self.rng.randrange(len(data)) if data else 0
        if how == "flip" and data:
            data[at] ^= 1 << self.rng.randrange(8)
        elif how == "digit" and (places := [i for i, byte in enumerate(data) if 48 <= byte < 57]):
            data[self.rng.choice(places)] += 1  # still the same kind of file, with another number in it
        elif how == "zeros":
            data[at : at + 64] = bytes(len(data[at : at + 64]))
        elif how == "repeat":
            line = data[data.rfind(b"\n", 0, at) + 1 : data.find(b"\n", at) + 1]
            data += line
        else:
            del data[at if how == "cut" else 0 :]
        path.write_bytes(bytes(data))
        return how

    def _reports(self, cache: Path, what: str) -> None:
        """A report of the damaged run either tells the damage or says what the sound one says."""
        (run,) = (path for path in cache.glob("runs/*") if path.is_dir())
        (sound,) = (path for path in self.arena.sound.glob("runs/*") if path.is_dir())
        exports = [cache / "export", self.arena.root / "export"]

        def report(folder: Path, out: Path) -> Callable[[], object]:
            def work() -> None:
                from experiments.report import read_run, write_report
                from experiments.report.export import FORMATS

                write_report([read_run(folder)], out.with_suffix(".html"))
                out.write_text(FORMATS["csv"]([read_run(folder)]), encoding="utf-8")

            return work

        if not exports[1].exists():
            start(report(sound, exports[1]), self.arena.root / "report.note").wait()
        outcome = start(report(run, exports[0]), self.arena.root / "report.note").wait()
        self._no_traceback(outcome, f"report after {what}")
        if outcome.how == "ok" and exports[0].read_text() != exports[1].read_text():
            self._wrong("corruptions_silent", f"report after {what}: other figures")

    def interleave(self) -> None:
        """Two processes on one run, the second some time after the first, which may be killed."""
        verb = self.rng.choice(VERBS)
        cache = self.arena.copy(without=verb)
        length = self.arena.seconds[verb]
        waits, kills = self.rng.random() < 0.5, self.rng.random() < 0.3
        what = (
            f"two processes in {verb}{', the second waits' if waits else ''}{', the first is killed' if kills else ''}"
        )
        first = self.arena.run(cache, verb)
        time.sleep(self.rng.uniform(0, length))
        second = self.arena.run(cache, verb, wait=waits)
        outcomes = [first.kill(self.rng.uniform(0, length)) if kills else first.wait(), second.wait()]
        self.counts["interleavings"] += 1
        for outcome in outcomes:
            self._no_traceback(outcome, what)
        if waits and outcomes[1].how != "ok":
            self._wrong("interleavings_failed", f"{what}: the second ended with {outcomes[1].said[:300]}")
        elif not waits and outcomes[1].how == "told" and "is being worked on by process" not in outcomes[1].said:
            self._wrong("interleavings_failed", f"{what}: the second said {outcomes[1].said[:300]}")
        else:
            self._ends_right(cache, verb, "interleavings_failed", what)
        shutil.rmtree(cache)

    def maintain(self) -> None:
        """The store is looked after while a process fills it and reads from it."""
        cache = self.arena.copy(without="capture")
        worker = self.arena.run(cache, "probe")
        keeper = start(lambda: _look_after(cache / "store", worker.pid), self.arena.root / "keeper.note")
        outcomes = [worker.wait(), keeper.wait()]
        self.counts["interleavings"] += 1
        for outcome in outcomes:
            self._no_traceback(outcome, "store maintenance beside capture and probe")
        if outcomes[0].how != "ok":
            self._wrong("interleavings_failed", f"store maintenance beside use: {outcomes[0].said[:300]}")
        else:
            self._ends_right(cache, "probe", "interleavings_failed", "store maintenance beside use")
        shutil.rmtree(cache)

    def fill_disk(self) -> None:
        """No file may grow beyond a size; then it may."""
        verb = self.rng.choice(VERBS)
        cache = self.arena.copy(without=verb)
        size = int(10 ** self.rng.uniform(1, 5.5))
        what = f"no file over {size} bytes in {verb}"
        self.counts["full_disks"] += 1
        self._no_traceback(self.arena.run(cache, verb, file_bytes=size).wait(), what)
        self._ends_right(cache, verb, "full_disks_wrong", what)
        shutil.rmtree(cache)

    def fail_server(self) -> None:
        """A server that answers completions and judges fails; a sound one is then there in its place."""
        fault = self.rng.choice(FAULTS)
        self.served = self.served or Served(self.arena)
        self.counts["servers"] += 1
        outcomes, faults = self.served.attack(fault)
        for outcome in outcomes:
            self._no_traceback(outcome, f"a server that {fault}")
        for said in faults:
            self._wrong("servers_wrong", f"a server that {fault}: {said}")

    def hostile(self) -> None:
        """Questions that hold what no question holds: told, or asked and printed as they are."""
        texts = [self.rng.choice(HOSTILE) for _ in range(4)]
        row = {
            "question": f"q {texts[0]}",
            "choices": [*texts[1:], "x"],
            "answer": self.rng.randrange(5),
            "subject": texts[1],
        }
        path = self.arena.root / "hostile.jsonl"
        line = json.dumps(row) if self.rng.random() < 0.8 else json.dumps(row)[: self.rng.randrange(60)] + "[" * 20_000
        path.write_text(line + "\n")
        outcome = start(lambda: _ask(path), self.arena.root / "hostile.note").wait()
        self.counts["hostile"] += 1
        self._no_traceback(outcome, f"question {row!r:.200}")

    def _ends_right(self, cache: Path, until: str, key: str, what: str) -> None:
        """Run to the end, twice where the first was told what to do; the figures are then the undisturbed ones."""
        outcome = self.arena.run(cache, until).wait()
        self._no_traceback(outcome, what)
        if outcome.how == "told" and outcome.said:
            self._follow(outcome.said, cache)
            outcome = self.arena.run(cache, until).wait()
            self._no_traceback(outcome, f"{what}, again")
        if outcome.how != "ok":
            self._wrong(key, f"{what}: {outcome.how} {outcome.said[-300:]}")
        elif not self.arena.is_right(cache, until):
            self._wrong(key, f"{what}: other records or figures")

    def _follow(self, said: str, cache: Path) -> None:
        """Do what the message says."""
        if "cache repair" in said:
            from activations import ActivationStore
            from activations.maintenance import repair

            store = ActivationStore(cache / "store")
            start(lambda: [repair(store, part) for part in store.parts()], self.arena.root / "repair.note").wait()
        elif "delete this one file" in said:
            Path(said.split(" does not say ", maxsplit=1)[0]).unlink()

    def _no_traceback(self, outcome: Outcome, what: str) -> None:
        if outcome.how == "traceback":
            self._wrong("tracebacks", f"{what}: {outcome.said[-600:]}")

    def _wrong(self, key: str, what: str) -> None:
        self.counts[key] += 1
        self.said.append(f"{key}: {what}")


def _look_after(folder: Path, worker: int) -> None:
    """Compact, list and verify a store until the process that uses it has ended."""
    from activations import ActivationStore
    from activations.compact import compact
    from activations.maintenance import complaints, summarise

    store = ActivationStore(folder)
    while (
        os.getppid() and Path(f"/proc/{worker}/stat").exists() and " Z " not in Path(f"/proc/{worker}/stat").read_text()
    ):
        for part in store.parts() if folder.is_dir() else ():
            compact(store.named(part))
            summarise(store, part)
            list(complaints(store, part))
        time.sleep(0.02)


def _ask(path: Path) -> None:
    """Read the questions, plan their items, print and parse them."""
    from experiments.answers.parser import parse_answer
    from experiments.config import HintsConfig, QuestionsConfig
    from experiments.prompts.items import choose_targets, item_prompt, plan_items
    from experiments.questions.pool import load_questions
    from experiments.run.console import PlainConsole

    questions, _ = load_questions(QuestionsConfig(source=str(path)), 5, 0)
    hints = HintsConfig(kinds=("sycophancy", "metadata", "grader_hacking"), per_question="all", wordings="plain")
    with Path(os.devnull).open("w") as nowhere:
        console = PlainConsole(file=nowhere, force_terminal=True)
        for item in plan_items(questions, hints, 0):
            aimed = choose_targets(item, [], None, 0)
            for condition in ("unhinted", "hinted", "neutral"):
                text = item_prompt(aimed, condition).messages[-1].content
                console.print(text)
                parse_answer(text, len(item.question.options))
            aimed.model_dump_json()
