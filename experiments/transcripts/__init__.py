"""Transcripts: what a judge reads, from our own rollouts or from the files of others."""

from experiments.transcripts.record import Transcript, read_transcripts, transcript_of

__all__ = ["Transcript", "read_transcripts", "transcript_of"]
