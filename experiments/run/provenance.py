"""What a reader needs to run the same thing again."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from experiments.config import Config
from experiments.records.summary import Provenance


def provenance(config: Config) -> Provenance:
    """What a reader needs to run the same thing again."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:  # no git here
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain")
    return Provenance(
        commit=git("rev-parse", "HEAD"),
        dirty=None if status is None else bool(status),
        python=platform.python_version(),
        versions={name: version(name) for name in ("torch", "transformers", "numpy", "scikit-learn", "h5py")},
        config=config.model_dump(mode="json"),
    )
