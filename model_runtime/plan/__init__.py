"""The planner: which split over which GPUs a model needs, counted from its `config.json`. Imports no model library."""
