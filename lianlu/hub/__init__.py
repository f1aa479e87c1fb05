"""Models and data sets by id: find, get, publish."""
