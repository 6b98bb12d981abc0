"""One model within a run: where its records lie, how a stage runs once, and how progress is shown."""
