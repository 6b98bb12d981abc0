"""What a completion says: its thinking, its answer, and the behaviour that the answers of an item show."""
