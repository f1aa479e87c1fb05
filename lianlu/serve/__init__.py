"""The engine (scheduler, pages, runner) and its faces."""
