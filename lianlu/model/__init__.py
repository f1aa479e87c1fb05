"""The decoder, its tokenizer, chat template, checkpoints and adapters: one for every link."""
