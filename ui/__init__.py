"""The Streamlit user interface: an HTTP client of `app`, nothing else."""
