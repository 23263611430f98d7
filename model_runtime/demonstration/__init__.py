"""The mixture-of-experts model to try things with: made of a small dense one that comes in a package."""
