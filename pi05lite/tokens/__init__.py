"""Everything that becomes a token: text, state, boxes and actions."""
