"""The console: reads what runs wrote and owns no state."""
