"""What the stages do once it is known that they have to: loaded then, for it needs the model's libraries."""
