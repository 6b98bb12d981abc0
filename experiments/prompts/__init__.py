"""From an item to token ids: items, messages, chat templates, and the named places in them."""
