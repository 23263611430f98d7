"""Decision tables: rules that an admin writes, over what is known of a conversation."""
