"""Tasks as YAML files: read, checked, kept in versions, and gone through with a customer, turn by turn."""
