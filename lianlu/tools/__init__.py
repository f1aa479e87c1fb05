"""The toolbox, one tool a page."""
