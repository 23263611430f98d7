"""What admins see of customer service: how much there is, how it went, and what the manuals do not say."""
