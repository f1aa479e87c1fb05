"""Named rule sets: what they measure, and the thresholds that drop a document."""
