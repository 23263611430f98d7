"""The demonstration shop: its page, its orders, its catalogue, its flows and its decisions."""
