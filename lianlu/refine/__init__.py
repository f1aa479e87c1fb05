"""Raw documents to a corpus, and a corpus to tokens and dialogues."""
