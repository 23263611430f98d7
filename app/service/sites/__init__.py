"""The company's own web sites: who may show the widget, its visitors, and what they may do and see."""
